"""Recorded frames of Binance through the whole product: what comes out is what was recorded."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.types_pb2 import SIDE_BUY
from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas.whale.v1.whale_pb2 import WHALE_KIND_LIQUIDATION_CASCADE, WhaleAlert
from teleglas_cli.testing import forget_members
from teleglas_cli.up.options import Source
from teleglas_cli.up.product import Product
from teleglas_common.testing import eventually
from teleglas_common.testing.realdata import realdata
from teleglas_contracts import topics
from teleglas_whale_detector.adapters.faust_topics import APP_ID
from teleglas_whale_detector.sink import SINK_GROUP
from tests.support.intelligence import all_said, latest, rescored
from tests.support.log import (
    NS_PER_S,
    SECONDS,
    Print,
    bar_of,
    bars_of,
    candles,
    dead_letters,
    digest,
    exact,
    trades,
)
from tests.support.product import connected, drained, held, running_product, settled

pytestmark = [pytest.mark.e2e, pytest.mark.realdata, pytest.mark.timeout(600)]

DAYS = ("20240808", "20240809")
NAMES = tuple(f"spot_{pair}_{day}" for pair in ("btcusdt", "ethusdt") for day in DAYS)
MARKETS = {"BTCUSDT": ("binance", "BTC-USDT"), "ETHUSDT": ("binance", "ETH-USDT")}
DIGESTED = (
    topics.MARKET_TRADES_V1,
    topics.MARKET_CANDLES_V1,
    topics.MARKET_SUMMARIES_V1,
    topics.WHALE_ALERTS_V1,
    topics.PREDICTION_FORECASTS_V1,
)
SCORES = topics.SIGNAL_SCORES_V1
"""Apart: which inputs a score waited for depends on the run, and its receipt says it."""
QUICK = (
    ("TELEGLAS_DETECTOR__MIN_OBSERVATIONS", "200"),
    ("TELEGLAS_DETECTOR__QUANTILE", "0.98"),
)
"""Ten minutes of a market are few to know it by."""
MARKET_DATA = "market-data", "market-data"
DETECTOR = "whale-detector", APP_ID, SINK_GROUP
"""A service and its consumer groups."""
BUSY = (topics.MARKET_TRADES_V1, topics.MARKET_BOOKS_V1)
KILLS = (
    *(MARKET_DATA, DETECTOR, ("signal-scorer", "signal-scorer"), ("prediction", "prediction")),
    *(("gateway",), ("notification", "notification"), MARKET_DATA, DETECTOR),
)
"""Not ingest: frames that were on the wire to it are gone, and no venue sends book diffs again."""
MIDNIGHT_NS = 1_723_161_600 * NS_PER_S
SLACK_NS = NS_PER_S


def captures() -> tuple[Path, ...]:
    return tuple(realdata("captures", "binance", f"{name}.gz") for name in NAMES)


def recorded() -> dict[tuple[str, str], dict[str, Print]]:
    """Every trade of the raw frames, read with nothing of the product."""
    found: dict[tuple[str, str], dict[str, Print]] = {market: {} for market in MARKETS.values()}
    for path in captures():
        for frame in _frames(path):
            if frame.get("e") == "trade":
                trade = Print(
                    str(frame["t"]),
                    Decimal(frame["p"]),
                    Decimal(frame["q"]),
                    not frame["m"],
                    frame["T"] * 1_000_000,
                    frame["t"],
                )
                found[MARKETS[frame["s"]]][trade.id] = trade
    return found


def _frames(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if '@trade"' in line:
                yield json.loads(line.partition(" ")[2])["data"]


async def stored(product: Product) -> dict[tuple[str, str], list[Print]]:
    """Every row of the trades table."""
    async with connected(product) as database:
        rows = await database.fetch("SELECT * FROM market_data.trades")
    found: dict[tuple[str, str], list[Print]] = {}
    for row in rows:
        found.setdefault((row["venue"], row["instrument"]), []).append(
            Print(
                row["trade_id"],
                exact(row["price"], row["price_exponent"]),
                exact(row["size"], row["size_exponent"]),
                row["side"] == 1,
                row["ts_event"],
                row["sequence"],
            )
        )
    return found


@pytest.fixture(scope="module")
def first_digests() -> dict[str, str]:
    """What the run without any trouble said, for those after it."""
    return {}


async def test_a_capture_at_full_speed_gives_its_own_trades_and_candles(
    tmp_path, first_digests, record_property
):
    """Trades in topic and database, candles over midnight: equal to the raw frames, exactly."""
    expected = recorded()
    async with running_product(
        tmp_path, source=Source.CAPTURE, captures=captures(), extra_env=QUICK
    ) as product:
        await drained(product)
        await settled(product)
        await all_said(product)
        read = await trades(product.bus)
        rows = await stored(product)
        made = await candles(product.bus)
        broken = await held(product, topics.MARKET_GAPS_V1)
        letters = [await dead_letters(product.bus, t) for t in topics.ALL if t.dead_letter]
        for topic in DIGESTED:
            first_digests[topic.name] = (await digest(product.bus, topic))[0]
        scores, counted = await digest(product.bus, SCORES)
        first_digests[SCORES.name] = scores
        again = await rescored(product)
        alerts = await latest(product, topics.WHALE_ALERTS_V1, WhaleAlert)
        scored = await latest(product, SCORES, SignalScore)
        errors = list(product.errors)

    assert read.prints == expected
    assert read.repeated == 0
    assert not broken, "expected an unbroken connection: books cannot be fetched again"
    for market, prints in expected.items():
        assert len(rows[market]) == len(prints)
        assert {trade.id: trade for trade in rows[market]} == prints
        _assert_candles(made[market], prints)
    assert not any(letters)
    assert not errors
    assert counted.events.keys() == scored.keys()
    assert scored
    assert again["digest"] == scores
    _assert_alerts_add_up(alerts.values(), expected)
    for score in scored.values():
        total = sum(part.points for part in score.receipt.contributions)
        assert abs(total - score.score) <= 1e-9
    record_property("trades", read.total)
    print(f"{read.total} trades, {sum(map(len, made.values()))} candles")  # noqa: T201


def _assert_alerts_add_up(
    alerts: Iterable[WhaleAlert], expected: Mapping[tuple[str, str], Mapping[str, Print]]
) -> None:
    """An alert's fills are trades of the capture, and where it names all of them their notional is
    the alert's, exactly.
    """
    orders = [alert for alert in alerts if alert.kind != WHALE_KIND_LIQUIDATION_CASCADE]
    assert any(len(order.trade_ids) == order.fills for order in orders)
    for order in orders:
        fills = [expected[order.venue, order.instrument][trade] for trade in order.trade_ids]
        assert {fill.buys for fill in fills} == {order.side == SIDE_BUY}
        named = sum(fill.price * fill.size for fill in fills)
        notional = exact(order.notional, order.quote_exponent)
        assert named == notional if len(fills) == order.fills else named < notional


def _assert_candles(made: dict[tuple[str, int], Candle], prints: dict[str, Print]) -> None:
    """Every interval that is over, with trades or quiet, and none that is not."""
    wanted = bars_of(prints.values())
    last_ns = max(trade.ts_event for trade in prints.values())
    over = {
        (interval, ts_open): bar
        for (interval, ts_open), bar in wanted.items()
        if ts_open + SECONDS[interval] * NS_PER_S <= last_ns - SLACK_NS
    }
    assert {interval for interval, _ in over} == set(SECONDS)
    assert any(ts_open < MIDNIGHT_NS for _, ts_open in over)
    assert any(ts_open >= MIDNIGHT_NS for _, ts_open in over)
    said = {place: bar_of(candle) for place, candle in made.items() if candle.trades}
    missing = over.keys() - said.keys()
    assert not missing, f"expected a candle of {sorted(missing)[:5]}"
    wrong = {place: (bar, wanted.get(place)) for place, bar in said.items() if bar != wanted[place]}
    assert not wrong, f"{len(wrong)} of {len(said)} candles differ: {list(wrong.items())[:3]}"
    quiet = [candle for candle in made.values() if not candle.trades]
    assert all(candle.open == candle.close and not candle.volume for candle in quiet)
    for interval in SECONDS.keys() - {"1s"}:
        opens = sorted(ts_open for name, ts_open in made if name == interval)
        steps = {after - before for before, after in itertools.pairwise(opens)}
        assert steps <= {SECONDS[interval] * NS_PER_S}, f"expected every {interval}, quiet ones too"


async def test_a_capture_with_halved_batches_and_kills_says_the_same(tmp_path, first_digests):
    """Batch limits and crashes change no derived value: the digests are those of the first run."""
    if not first_digests:
        pytest.skip("needs the digests of the run before it")
    halved = (
        ("TELEGLAS_INGEST__BATCH_MAX_TRADES", "256"),
        ("TELEGLAS_INGEST__BATCH_MAX_AGE_MS", "10"),
        *QUICK,
    )
    async with running_product(
        tmp_path, source=Source.CAPTURE, captures=captures(), extra_env=halved
    ) as product:
        for number, (killed, *groups) in enumerate(KILLS):
            reached = 500 + 1_400 * number
            await eventually(partial(_grew, product, reached), timeout_s=120, every_s=0.05)
            await product.processes[killed].kill9()
            await forget_members(product.stack.kafka_bootstrap, *groups)
        await drained(product)
        await eventually(lambda: product.processes["ingest"].running, timeout_s=60)
        await settled(product)
        await all_said(product)
        read = await trades(product.bus)
        scores, _ = await digest(product.bus, SCORES)
        again = await rescored(product, "--receipts")
        second = {topic.name: (await digest(product.bus, topic))[0] for topic in DIGESTED}
    assert read.prints == recorded()
    assert second == {name: first_digests[name] for name in second}
    assert again["digest"] == scores


async def _grew(product: Product, wanted: int) -> None:
    assert await held(product, *BUSY) >= wanted


async def test_a_backtest_of_a_capture_gives_the_live_scores(tmp_path, first_digests):
    """Started, played and stopped by the command itself: digest for digest those of the run."""
    if not first_digests:
        pytest.skip("needs the digests of the run before it")
    command = [sys.executable, "-m", "teleglas_cli.main", "backtest", "--digest", "--json"]
    for path in captures():
        command += ["--capture", str(path)]
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **dict(QUICK), "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 400)
    assert process.returncode == 0
    said = json.loads(out)
    assert said["digest"] == first_digests[SCORES.name]
    assert said["events"] > 0
    assert not any(tmp_path.iterdir())
