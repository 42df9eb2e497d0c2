"""A product under a real Prometheus: queries have data, faults fire alerts, spans arrive."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from scripts.observability.dashboards import ELSEWHERE, dashboards
from scripts.observability.rules import alerts, rules
from teleglas_cli.stack.process import ManagedProcess
from teleglas_cli.streaming import open_stream, subscribe
from teleglas_cli.up.product import Product
from teleglas_cli.up.services import TABLE
from teleglas_common.bus.ports import Outgoing
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from tests.observability.stack import (
    SHRUNK,
    Prometheus,
    Told,
    Traced,
    alerting,
    scraping,
    tracing,
)
from tests.support.product import connected, rest, running_product

pytestmark = [
    pytest.mark.observability,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
]

FIRES_S, CLEARS_S = 90.0, 180.0
TRACE_SETTLES_S = 15.0
"""A trace is judged and stored so long after its first span."""
SETTINGS = (
    ("TELEGLAS_TELEMETRY__SAMPLE_RATIO", "1"),
    ("TELEGLAS_DETECTOR__MIN_OBSERVATIONS", "100"),
    ("TELEGLAS_DETECTOR__QUANTILE", "0.9"),
    ("TELEGLAS_TELEGRAM__DEFAULT_BUDGET_PER_HOUR", "10000"),
    ("TELEGLAS_DELIVERY__RETRY_MAX_S", "3"),
)
BY_HISTORY = {
    "RestartLoop": "a start takes longer than the shrunk window",
    "RecordsLost": "retention of hours must pass a stopped reader",
    "ConsumerLags": "20,000 records behind are minutes of a full load",
    "ReconnectsFrequent": "needs a venue that is away for longer than this suite runs",
    "FramesRefused": "the simulator speaks its protocols without mistakes",
    "TradesLost": "the simulator's history gives back every trade",
    "GapsFrequent": "needs twenty breaks within the shrunk five seconds",
    "SlowReadersClosed": "needs twenty clients that stop reading",
    "ShardsRestart": "the same table that is missing ends the service, which is RestartLoop",
    "ScoresStop": "candles of a minute do not close within a shrunk window of seconds",
    "ForecastsStop": "as ScoresStop",
    "ForecastCoverageLow": "needs fifty forecasts that miss",
    "ModelRefused": "stands as long as the process that saw the file",
    "ClocksDisagree": "needs a clock of a venue that is wrong",
    "MarketStale": "needs a venue whose marks stop while its neighbours' go on",
}
"""Alerts whose faults are not made here; promtool fires each by a history (test_files)."""
LATER = ("teleglas_prediction_coverage_ratio", "teleglas_prediction_width_ratio",
         "teleglas_prediction_pinball_loss_ratio")  # fmt: skip
"""Known when the first forecast is resolved, five minutes after it was made: asked for last."""
NEVER = {
    "teleglas_prediction_skill_ratio": "only trained models have skill; the registry is empty",
}


@dataclass(slots=True)
class World:
    product: Product
    prometheus: Prometheus
    told: Told
    traced: Traced

    async def fires(self, *names: str, severity: str = "") -> None:
        """All of these fire."""

        async def assert_firing() -> None:
            firing = await self.prometheus.firing()
            seen = {name for name, level, _ in firing if not severity or level == severity}
            assert seen.issuperset(names), f"expected {names}, firing: {sorted(firing)}"

        await eventually(assert_firing, timeout_s=FIRES_S, every_s=0.5)

    async def clears(self, *names: str) -> None:
        """None of these fires any more, but for the burn of days, whose windows are the longest."""

        async def assert_clear() -> None:
            firing = await self.prometheus.firing()
            left = {one for one in firing if one[0] in names and one[2] not in ("1d", "3d")}
            assert not left

        await eventually(assert_clear, timeout_s=CLEARS_S, every_s=0.5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("observability")
    async with AsyncExitStack() as cleanup:
        traced = await cleanup.enter_async_context(tracing(folder))
        alertmanager, told = await cleanup.enter_async_context(alerting(folder))
        product = await cleanup.enter_async_context(
            running_product(folder, rate=40, otlp_endpoint=traced.endpoint, extra_env=SETTINGS)
        )
        served = {name: url.removeprefix("http://") for name, url in product.layout.http.items()}
        prometheus = await cleanup.enter_async_context(
            scraping(folder, {**served, **traced.metrics}, alertmanager)
        )
        await cleanup.enter_async_context(used(product))
        yield World(product, prometheus, told, traced)


@asynccontextmanager
async def used(product: Product) -> AsyncIterator[None]:
    """Clients of streams and of REST, which come back after every fault."""
    tasks = [asyncio.create_task(work(product)) for work in (streamed, asked)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def streamed(product: Product) -> None:
    running = product.running
    while True:
        with contextlib.suppress(Exception):
            async with open_stream(running.gateway_url, running.demo_key) as connection:
                market = {"venue": ["binance"]}
                for channel in ("trades", "tickers", "books", "liquidations"):
                    await subscribe(connection, channel, ["BTC-USDT"], **market)
                await subscribe(connection, "candles", ["BTC-USDT"], interval="1s", **market)
                for channel in ("whales", "signals", "predictions"):
                    await subscribe(connection, channel, ["BTC-USDT"])
                async for _ in connection:
                    pass
        await asyncio.sleep(0.5)


async def asked(product: Product) -> None:
    paths = [
        "/v1/tickers",
        "/v1/whales",
        *(f"/v1/{kind}?symbol=BTC-USDT" for kind in ("predictions", "signals")),
    ]
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with rest(product) as http:
                for path in paths:
                    async with http.get(path) as response:
                        await response.read()
                    await asyncio.sleep(0.2)
        await asyncio.sleep(0.2)


def queries(*, skip: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Every query of every dashboard that our own metrics fill, with where it stands."""
    for name, model in dashboards().items():
        if name in ELSEWHERE:
            continue
        for panel in model["panels"]:
            for target in panel.get("targets", ()):
                expr = SHRUNK.within(target["expr"].replace("$__rate_interval", "20s"))
                if not any(metric in expr for metric in skip):
                    yield f"{name}: {panel['title']}", expr


def selectors(expr: str) -> set[str]:
    """The series that a rule stands on."""
    found = re.findall(r"\b((?:teleglas|process|up|otelcol)[a-z_:0-9]*(?:\{[^}]*\})?)", expr)
    return {one for one in found if not one.startswith("up") or one[2:3] in ("", "{")}


async def assert_filled(prometheus: Prometheus, wanted: Sequence[tuple[str, str]]) -> None:
    empty = [where for where, expr in wanted if not await prometheus.query(expr)]
    assert not empty, f"{len(empty)} of {len(wanted)} queries without data: {empty}"


async def test_every_query_has_data(world: World) -> None:
    """Dashboards and rules find what they ask for; what cannot be there is named with a reason."""
    wanted = list(queries(skip=(*LATER, *NEVER)))
    wanted += [
        (f"rule {rule['record']}", rule["record"])
        for group in rules(SHRUNK)["groups"]
        for rule in group["rules"]
        if "record" in rule
    ]
    wanted += [
        (f"alert {rule['alert']}: {series}", series)
        for rule in alerts(rules(SHRUNK))
        for series in selectors(rule["expr"])
        if not any(metric in series for metric in (*LATER, *NEVER))
    ]
    await eventually(lambda: assert_filled(world.prometheus, wanted), timeout_s=300, every_s=3)
    print(f"{len(wanted)} queries have data; not asked: {ELSEWHERE | NEVER}")


async def test_histograms_lead_to_traces(world: World) -> None:
    """An exemplar of a histogram names a trace that Jaeger has."""

    async def assert_led() -> None:
        found = await world.prometheus.exemplars(
            '{__name__=~"teleglas_gateway_(freshness|request)_seconds_bucket"}'
        )
        settled_s = time.time() - TRACE_SETTLES_S
        seen = sorted(
            (one["timestamp"], one["labels"]["trace_id"])
            for row in found
            for one in row["exemplars"]
            if one["timestamp"] < settled_s
        )
        assert seen, "expected exemplars"
        assert all([await world.traced.jaeger.trace(one) for _, one in seen[-20:]])

    await eventually(assert_led, timeout_s=90, every_s=2)


async def test_a_message_is_traced_back_to_its_frames(world: World) -> None:
    """In Jaeger, from the call of Telegram over links and parents to the venue's frame, and from
    there to every service.
    """
    jaeger = world.traced.jaeger

    async def assert_found() -> str:
        chats = await jaeger.traces("notification", "send telegram")
        for chat in chats:
            services, names = await reached(jaeger, chat)
            if {"receive trades", "publish alert", "send telegram"} <= names and services == {
                row.name for row in TABLE
            }:
                return f"{len(names)} kinds of spans of {len(services)} services"
        raise AssertionError(f"{len(chats)} messages, none with all services behind it")

    print(await eventually(assert_found, timeout_s=240, every_s=5))


async def reached(jaeger: Any, start: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Services and span names of a trace, of those that it links to, and of those that link to
    them.
    """
    seen: dict[str, dict[str, Any]] = {}
    waiting = deque([start])
    while waiting and len(seen) < 80:
        trace = waiting.popleft()
        if trace["traceID"] in seen:
            continue
        seen[trace["traceID"]] = trace
        for origin in origins(trace) - seen.keys():
            found = await jaeger.trace(origin)
            if found is not None:
                waiting.append(found)
    for service, operation in (
        ("market-data", "publish candles"),
        ("signal-scorer", "publish score"),
        ("prediction", "publish forecasts"),
    ):
        for trace in await jaeger.traces(service, operation, limit=300):
            if origins(trace) & seen.keys():
                seen[trace["traceID"]] = trace
    services = {
        process["serviceName"] for trace in seen.values() for process in trace["processes"].values()
    }
    names = {span["operationName"] for trace in seen.values() for span in trace["spans"]}
    return services, names


def origins(trace: dict[str, Any]) -> set[str]:
    return {
        reference["traceID"]
        for span in trace["spans"]
        for reference in span.get("references", ())
        if reference["traceID"] != trace["traceID"]
    }


@contextlib.contextmanager
def frozen(process: ManagedProcess | None) -> Iterator[None]:
    """A process and its children do not run meanwhile: nothing answers, nothing is closed."""
    assert process is not None
    assert process.pid is not None
    root = psutil.Process(process.pid)
    members = [root, *root.children(recursive=True)]
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGCONT)


async def test_the_watchdog_reaches_its_receiver(world: World) -> None:
    """The way from Prometheus over Alertmanager to a receiver is open."""
    await world.fires("Watchdog")
    await eventually(lambda: "Watchdog" in world.told.names("watchdog"), timeout_s=60, every_s=0.5)


async def test_a_service_that_is_away(world: World) -> None:
    """It is down, its paths burn the budget, and people are told."""
    process = world.product.processes["prediction"]
    names = ("ServiceDown", "ReplicaDown", "AvailabilityBudgetBurns")
    await world.product.stop_part("prediction")
    await world.fires(*names)
    await eventually(lambda: "ServiceDown" in world.told.names("page"), timeout_s=60, every_s=0.5)
    await process.start()
    await world.clears(*names)


async def test_a_frozen_kafka(world: World) -> None:
    with frozen(world.product.stack.kafka.process):
        await world.fires("KafkaUnreachable")
    await world.clears("KafkaUnreachable")


async def test_a_frozen_database(world: World) -> None:
    with frozen(world.product.stack.postgres.process):
        await world.fires("PostgreSQLUnreachable", "ServiceNotReady")
    await world.clears("PostgreSQLUnreachable", "ServiceNotReady")


async def test_a_frozen_cache(world: World) -> None:
    with frozen(world.product.stack.valkey.process):
        await world.fires("RedisUnreachable")
    await world.clears("RedisUnreachable")


async def test_silent_venues(world: World) -> None:
    with frozen(world.product.processes["venues"]):
        await world.fires("IngestSilent")
    await world.clears("IngestSilent")


async def test_poison(world: World) -> None:
    """Records that nobody can read are counted, buried and told of."""
    publisher = world.product.bus.publisher()
    await publisher.start()

    async def assert_told() -> None:
        await publisher.send(Outgoing(topics.MARKET_TRADES_V1.name, 0, b"poison", b"\xff\xff"))
        await publisher.flush()
        firing = {name for name, _, _ in await world.prometheus.firing()}
        assert "DeadLetters" in firing

    await eventually(assert_told, timeout_s=FIRES_S, every_s=1)
    await publisher.stop()
    await world.clears("DeadLetters")


async def ordered(url: str, **wish: Any) -> None:
    async with aiohttp.ClientSession() as session, session.post(url, json=wish) as response:
        assert response.status < 300, await response.text()


async def test_a_bot_api_that_takes_nothing(world: World) -> None:
    """Messages wait; those that come late burn the budget."""
    url = f"{world.product.layout.chat_url}/control/fault"
    await ordered(url, kinds=["server_error"], methods=["sendMessage", "sendPhoto"], count=10**6)
    await world.fires("OutboxOld", "ChannelFails")
    await asyncio.sleep(30)
    await ordered(url, count=0)
    await world.fires("DeliveryBudgetBurns")
    await world.clears("OutboxOld", "ChannelFails", "DeliveryBudgetBurns")


async def test_a_slow_database(world: World) -> None:
    """A table that is locked: checkpoints take long, and the reader stands."""
    async with connected(world.product) as database, database.transaction():
        await database.execute("LOCK TABLE market_data.shard_checkpoints IN ACCESS EXCLUSIVE MODE")
        await world.fires("ConsumerStuck")
    await world.fires("CheckpointsSlow")
    await world.clears("ConsumerStuck", "CheckpointsSlow")


async def test_a_shard_of_ingest_without_an_owner(world: World) -> None:
    """Somebody who does not work holds the lease."""
    async with connected(world.product) as database:

        async def assert_without() -> None:
            await database.execute(
                "UPDATE ingest.leases SET owner = 'nobody', epoch = epoch + 1,"
                " expires_at = now() + interval '5 s' WHERE venue = 'okx'"
            )
            assert "IngestShardNotOwned" in {n for n, _, _ in await world.prometheus.firing()}

        await eventually(assert_without, timeout_s=FIRES_S, every_s=1)
    await world.clears("IngestShardNotOwned")


async def test_a_stranger_in_a_consumer_group(world: World) -> None:
    """It takes partitions, and nobody of ours owns them."""
    stranger = AIOKafkaConsumer(
        topics.MARKET_CANDLES_V1.name,
        bootstrap_servers=world.product.stack.kafka_bootstrap,
        group_id="prediction",
        enable_auto_commit=False,
    )
    await stranger.start()
    try:
        await world.fires("ShardNotOwned")
    finally:
        await stranger.stop()
    await world.clears("ShardNotOwned")


async def test_old_data_for_clients(world: World) -> None:
    """A gateway that stands for seconds writes late."""

    async def assert_burning() -> None:
        with frozen(world.product.processes["gateway"]):
            await asyncio.sleep(2.5)
        await asyncio.sleep(1.5)
        assert "FreshnessBudgetBurns" in {name for name, _, _ in await world.prometheus.firing()}

    await eventually(assert_burning, timeout_s=FIRES_S, every_s=0.1)
    await world.clears("FreshnessBudgetBurns")


async def test_gaps_that_stay_open(world: World) -> None:
    """Trades are dropped, and the venue's REST does not give them back."""
    url = f"{world.product.venues['binance']['rest']}/control/fault"

    async def assert_open() -> None:
        await ordered(url, kind="rest", match="*rades*", duration_s=4, status=500)
        await ordered(url, kind="drop", match="*@trade", count=3)
        assert "GapsUnresolved" in {name for name, _, _ in await world.prometheus.firing()}

    await eventually(assert_open, timeout_s=FIRES_S, every_s=2)
    await world.clears("GapsUnresolved")


async def test_a_store_of_traces_that_is_away(world: World) -> None:
    jaeger = world.traced.jaeger.process
    await jaeger.kill9()
    await world.fires("TracesLost")
    await jaeger.start()
    await world.clears("TracesLost")


async def test_forecasts_are_held_to_what_happened(world: World) -> None:
    """The queries that wait for the first resolved forecast have data in the end."""
    wanted = [one for one in queries(skip=tuple(NEVER)) if any(name in one[1] for name in LATER)]
    assert wanted
    await eventually(lambda: assert_filled(world.prometheus, wanted), timeout_s=600, every_s=5)


def test_every_alert_is_fired_here_or_by_a_history() -> None:
    """None is forgotten: what this file does not fire is named with the reason."""
    source = Path(__file__).read_text(encoding="utf-8")
    fired = set(re.findall(r'"([A-Z][A-Za-z]+)"', source)) - set(BY_HISTORY)
    names = {rule["alert"] for rule in alerts(rules())}
    assert names - fired == set(BY_HISTORY)
    print(f"{len(fired & names)} alerts by real faults, {len(BY_HISTORY)} by histories alone:")
    print(*(f"{name}: {why}" for name, why in BY_HISTORY.items()), sep="\n")
