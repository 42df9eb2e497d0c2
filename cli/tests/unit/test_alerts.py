"""The commands for people, against a gateway with a stream and all four services behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result

from teleglas.prediction.v1.prediction_pb2 import Forecast
from teleglas_cli.describe import amount
from teleglas_cli.main import commands
from teleglas_common.bus.encode import outgoing
from teleglas_common.settings import HttpSection
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_gateway.ports import Backends
from teleglas_gateway.rest.http import HttpServer
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.stream.protocol import stream_protocol
from teleglas_gateway.testing import KEY, MemoryKeys, MemoryLimiter, key_record
from teleglas_gateway.testing.edge import StreamEdge, open_streams
from teleglas_gateway.testing.intelligence import Asked, alert, delivery, forecast, score
from teleglas_gateway.testing.market import FakeMarketData
from teleglas_gateway.testing.rest import connected, make_api

Cli = Callable[..., Coroutine[Any, Any, Result]]


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def edge() -> AsyncIterator[StreamEdge]:
    async with open_streams(StreamSettings()) as running:
        yield running


@pytest.fixture(params=[True], ids=["whole"])
async def cli(
    request: pytest.FixtureRequest,
    edge: StreamEdge,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Cli]:
    """Runs a command line against the gateway; parametrised with False, it stands alone."""
    keys, limiter = MemoryKeys(), MemoryLimiter()
    await keys.add(key_record(KEY))
    limiter.unlimited = True
    async with connected(asked) as backends:
        api = make_api(FakeMarketData(), keys, limiter, backends if request.param else Backends())
        http = HttpServer(HttpSection(), api, stream_protocol(edge.streams.server))
        await http.start()
        monkeypatch.setenv("TELEGLAS_GATEWAY_URL", f"http://127.0.0.1:{http.port}")
        monkeypatch.setenv("TELEGLAS_API_KEY", KEY)

        async def invoke(*arguments: str) -> Result:
            return await asyncio.to_thread(CliRunner().invoke, commands, arguments)

        yield invoke
        edge.streams.server.say_goodbye()
        await http.stop()


async def test_whales_are_lines_with_the_newest_last(cli: Cli, asked: Asked) -> None:
    """Who did what, for how much, how unusual, and the id that `why` wants."""
    done = await cli("whales", "--symbol", "BTC", "--min", "1000", "--side", "buy", "--limit", "3")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for words in (
        *("binance:BTC-USDT", "buy", "2,250,000 USDT", "50 BTC @ 45,000", "sweep"),
        *("1.5 times the threshold", "impact medium", "closed", alert(1).id),
    ):
        assert words in lines[0]
    assert (asked.request.min_notional, asked.request.page_size) == (1000, 2)
    raw = await cli("whales", "--json", "--limit", "1")
    assert json.loads(raw.stdout)["id"] == alert(1).id


async def test_signals_show_what_each_layer_adds(cli: Cli) -> None:
    """The number, the words for it and its parts; with --history one symbol's past."""
    done = await cli("signals")
    for words in ("BTC-USDT", "+34.5", "buy", "80 %", "technical +30", "order_flow +4.5", "news"):
        assert words in done.stdout
    past = await cli("signals", "--history", "--symbol", "BTC")
    assert score().id in past.stdout
    both = await cli("signals", "--history", "--symbol", "BTC", "--symbol", "ETH")
    assert both.exit_code == 2


async def test_predictions_give_the_interval_and_no_direction_without_skill(cli: Cli) -> None:
    """The widest interval; the ledger says what became of it."""
    done = await cli("predictions", "--symbol", "BTC", "--horizon", "5m")
    for words in (
        *("5m", "94,000 -> 94,010.5", "90 % within 93,700 .. 94,310"),
        *("no direction (no skill over the random walk)", "random-walk@1"),
    ):
        assert words in done.stdout
    ledger = await cli("predictions", "--ledger")
    first, second = ledger.stdout.splitlines()
    assert first.endswith("became 94,020, within")
    assert second.endswith("still open")


def telling(topic: Topic, message: Any) -> Any:
    return outgoing(topic, message, key="k", subject=message.instrument, now_ns=1)


def in_horizon() -> Forecast:
    return forecast(horizon_ns=3600 * 10**9)


@pytest.mark.parametrize(
    ("command", "topic", "make", "words"),
    [
        (("whales",), topics.WHALE_ALERTS_V1, alert, "2,250,000 USDT"),
        (("signals", "--symbol", "BTC"), topics.SIGNAL_SCORES_V1, score, "+34.5"),
        (
            ("predictions", "--symbol", "BTC", "--horizon", "1h"),
            *(topics.PREDICTION_FORECASTS_V1, in_horizon, "1h   94,000 -> 94,010.5"),
        ),
    ],
    ids=["whales", "signals", "predictions"],
)
async def test_followers_see_what_comes(
    cli: Cli,
    edge: StreamEdge,
    command: tuple[str, ...],
    topic: Topic,
    make: Callable[[], Any],
    words: str,
) -> None:
    """The line of the stream is the line of REST."""
    running = asyncio.create_task(cli(*command, "--follow", "--limit", "1"))
    channel = command[0]
    await eventually(lambda: any(edge.streams.hub.wanted(channel)))
    publisher = edge.bus.publisher()
    await publisher.start()
    await publisher.send(telling(topic, make()))
    await publisher.stop()
    done = await asyncio.wait_for(running, 20)
    assert done.exit_code == 0, done.output
    assert words in done.stdout
    assert len(done.stdout.splitlines()) == 1


async def test_why_tells_an_alert_in_plain_words(cli: Cli) -> None:
    """With every number that decided."""
    done = await cli("why", alert().id)
    assert done.exit_code == 0
    for words in (
        "Somebody bought 50 BTC on binance for 2,250,000 USDT, at 45,000 on average",
        "1.5 times the 1,500,000 USDT",
        "more than 99.91 %",
        "through 12 levels of the book, 25 % of what was to be seen",
        "+3.5 bp after 1 s",
    ):
        assert words in done.stdout


async def test_why_tells_a_score_with_its_sum(cli: Cli) -> None:
    """Sentences, the sum, what is missing and what it cost."""
    done = await cli("why", score().id)
    for words in (
        "BTC-USDT scored +34.5 of 100",
        "technical adds 30.0: it reads 0.6 of 1, weight 50",
        "Together: +30 +4.5 = +34.5.",
        "Missing: news; that cost 20 % of confidence.",
        "technical read rsi_14_5m = 61.5",
        "market.candles[3] had been read up to 7",
    ):
        assert words in done.stdout


async def test_why_tells_a_message_with_its_rule_and_its_event(cli: Cli, asked: Asked) -> None:
    """From the delivery over the rule to the alert."""
    done = await cli("why", delivery().id)
    assert done.exit_code == 0
    for words in (
        "The message to chat-1 by telegram was sent at 2026-01-01T00:00:01.000Z, after 1 attempt.",
        "It came of rule rule-1: whale events from 1,000,000 on.",
        f"It is about {alert().id}:",
        "  Somebody bought 50 BTC",
    ):
        assert words in done.stdout
    assert asked.calls == 5


async def test_why_of_an_unknown_id_fails_with_what_was_expected(cli: Cli, asked: Asked) -> None:
    """And says whom it could not ask."""
    done = await cli("why", "nonsense")
    assert done.exit_code == 1
    assert "expected the id of an alert, a score or a delivery" in done.stderr
    assert "could not ask" not in done.stderr
    asked.failure = grpc.StatusCode.UNAVAILABLE
    done = await cli("why", alert().id)
    assert done.exit_code == 1
    assert "upstream_unavailable" in done.stderr


@pytest.mark.parametrize("cli", [False], indirect=True, ids=["alone"])
async def test_a_service_that_does_not_run_is_named(cli: Cli) -> None:
    """One sentence, no trace."""
    for command in ("whales", "signals", "predictions"):
        done = await cli(command)
        assert done.exit_code == 1
        assert "not_deployed" in done.stderr


async def test_a_gateway_that_is_away_is_one_sentence(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No trace of ours on the screen."""
    monkeypatch.setenv("TELEGLAS_GATEWAY_URL", "http://127.0.0.1:1")
    done = await cli("whales")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: expected an answer of /v1/whales")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2250000.00", "2,250,000"),
        ("0.00001000", "0.00001"),
        ("-0.50", "-0.5"),
        ("100", "100"),
        (None, "?"),
        ("nan", "?"),
    ],
)
def test_amounts_have_no_zeros_that_say_nothing(text: object, shown: str) -> None:
    """And no exponent."""
    assert amount(text) == shown
