"""The composite: weights, staleness, drop-outs, and that late members change only revisions."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from market_data_captures import batches, progress
from market_data_frames import BTC, MS, generated
from market_data_rig import Rig, events, last_candles, raw

from teleglas_common.bus.ports import Outgoing
from teleglas_contracts import topics
from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.composite import Composer, Definition
from teleglas_market_data.domain.intervals import INTERVALS, SECOND_NS
from teleglas_market_data.domain.rollup import roll_up

DEFINITION = Definition(1, {"binance": 1, "okx": 3}, 10 * SECOND_NS, 10 * SECOND_NS)


def second(at: int, price: int, size: int = 2) -> Bar:
    ts = at * SECOND_NS
    return Bar(
        ts, ts, at, price, price + 4, price - 4, ts + 1, at, price, size, size * price, 0, 0, 1
    )


def test_composed_price_is_the_weighted_mean_and_volume_the_sum() -> None:
    """Three parts okx, one part binance; sizes add up."""
    bar, parts = Composer(DEFINITION).compose(0, {"binance": second(0, 100), "okx": second(0, 200)})
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (175, 179, 171, 175, 4)
    assert parts == [("binance", 1, True), ("okx", 1, True)]


def test_member_without_a_trade_counts_until_it_is_stale() -> None:
    """Its last price holds for the staleness limit; after that the others stand alone."""
    composer = Composer(DEFINITION)
    composer.compose(0, {"binance": second(0, 100), "okx": second(0, 200)})
    bar, parts = composer.compose(9 * SECOND_NS, {"okx": second(9, 240)})
    assert (bar.close, parts) == (205, [("binance", 0, True), ("okx", 1, True)])
    bar, parts = composer.compose(12 * SECOND_NS, {"okx": second(12, 240)})
    assert (bar.close, parts) == (240, [("okx", 1, True)])


@pytest.mark.parametrize("weights", [{}, {"binance": 0}, {"binance": -1}])
def test_definition_without_weight_is_refused(weights: dict[str, int]) -> None:
    """A composite of nothing has no price."""
    with pytest.raises(ValueError, match="expected venues"):
        Definition(1, weights, SECOND_NS, SECOND_NS)


def record(message: Any) -> Outgoing:
    return raw(topics.MARKET_TRADES_V1, message, BTC)


def marks(ts: int, venues: tuple[str, ...] = ("binance", "okx")) -> list[Outgoing]:
    return [
        record(progress(ts, [BTC], venue=venue, source=f"{venue}/0/trades-0")) for venue in venues
    ]


def two_venues(seed: int, *, late: bool) -> list[Outgoing]:
    """Two feeds in the venues' order; with `late`, a part of each comes after all marks, mixed."""
    chance = random.Random(seed)
    feeds: dict[str, list[dict[str, Any]]] = {"binance": generated(400), "okx": []}
    for frame in generated(400):
        if chance.random() < 0.6:
            price = str(round(float(frame["p"]) + 3.5, 2))
            feeds["okx"].append({**frame, "T": frame["T"] + 17_000, "p": price})
    for number, frame in enumerate(feeds["okx"]):
        frame["t"] = 50_000 + number
    held: list[Outgoing] = []
    records: list[Outgoing] = []
    merged = sorted(
        ((frame["T"], venue, frame) for venue, frames in feeds.items() for frame in frames),
        key=lambda one: (one[0], one[1], one[2]["t"]),
    )
    first = {"binance", "okx"}
    for n, (ts, venue, frame) in enumerate(merged):
        (batch,) = batches([frame], BTC, 1, venue=venue)
        hold = late and venue not in first and chance.random() < 0.1
        first.discard(venue)
        (held if hold else records).append(record(batch))
        if n % 40 == 39:
            records += marks(ts * MS - 1)
    last = merged[-1][0] * MS
    records += marks(last + 600 * SECOND_NS)
    chance.shuffle(held)
    return [*records, *held, *marks(last + 86_400 * SECOND_NS)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_late_members_and_crashes_end_in_the_same_composite(seed: int) -> None:
    """Trades that come after their candles closed end in what timely ones would have made."""
    calm, rough = Rig(), Rig(checkpoint_s=0.001, turn_records=7)
    for rig, late in ((calm, False), (rough, True)):
        await rig.create()
        await rig.send(two_venues(seed, late=late))
    await calm.drain()
    for saves in (2, 5, 3):
        await rough.run_and_crash(saves)
    await rough.drain()
    topic = topics.MARKET_CANDLES_V1
    found, expected = await events(rough.bus, topic), await events(calm.bus, topic)
    assert found.keys() == expected.keys()
    assert {k for k in found if found[k] != expected[k]} == set()
    assert any(k.startswith("composite:") for k in found)


async def test_composite_candles_roll_up_exactly() -> None:
    """Each level's composite is the roll-up of the one below it."""
    rig = Rig()
    await rig.create()
    await rig.send(two_venues(5, late=True))
    await rig.drain()
    candles = [
        candle
        for (market, _, _), candle in sorted((await last_candles(rig.bus)).items())
        if market == f"composite:{BTC}" and candle.trades
    ]
    levels: dict[str, list[Bar]] = {}
    for one in candles:
        bar = Bar(
            one.ts_open, one.ts_open, 0, one.open, one.high, one.low, one.ts_close, 0, one.close,
            one.volume, one.quote_volume, one.taker_buy_volume, one.taker_buy_quote_volume,
            one.trades,
        )  # fmt: skip
        levels.setdefault(one.interval, []).append(bar)
    for below, interval in pairwise(INTERVALS[:-1]):
        rolled = list(roll_up(levels[below.name], interval))
        assert [(b.ts_open, b.open, b.high, b.low, b.close, b.volume, b.quote) for b in rolled] == [
            (b.ts_open, b.open, b.high, b.low, b.close, b.volume, b.quote)
            for b in levels[interval.name]
        ]
