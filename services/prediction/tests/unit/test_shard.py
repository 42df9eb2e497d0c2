"""The service on a bus in memory: forecasts, crashes, replays, repeats, poison."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prediction_rig import BEGIN_NS, Rig, candle, candles, digest, ledger_of, raw

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.prediction.v1.prediction_pb2 import DIRECTION_ABSTAIN
from teleglas_common.bus.testing import read_all
from teleglas_contracts import topics

MINUTE_NS = 60 * 10**9


async def test_forecasts_after_warm_up_are_published_and_in_the_ledger() -> None:
    """The first stands on the 20th bar; each has a reference, three intervals and a reason."""
    rig = Rig()
    await rig.create()
    bars = candles(30)
    await rig.send([raw(one) for one in bars])
    await rig.drain()
    found = ledger_of(rig.fake)
    assert len(found) == 11
    assert set(found) == set(await digest(rig.bus))
    first = min(found.values(), key=lambda one: one.ts_event)
    assert first.ts_event == BEGIN_NS + 20 * MINUTE_NS
    assert first.ts_target == first.ts_event + 5 * MINUTE_NS
    assert first.reference_price == pytest.approx(bars[19].close / 100)
    assert [one.coverage for one in first.intervals] == [0.5, 0.8, 0.9]
    lowers = [one.lower for one in first.intervals]
    assert lowers == sorted(lowers, reverse=True)
    assert first.direction == DIRECTION_ABSTAIN
    assert first.abstain_reason == "a random walk has no direction"
    assert len(rig.fake.resolved) == 6


async def test_crashes_on_the_way_change_no_forecast() -> None:
    """Killed again and again, topic, ledger and outcomes are those of a quiet run."""
    bars = [raw(one) for one in candles(400)]
    quiet, killed = Rig(), Rig(checkpoint_s=0.001)
    for rig in (quiet, killed):
        await rig.create()
        await rig.send(bars)
    await quiet.drain()
    for saves in (1, 2, 1, 3, 1):
        await killed.run_and_crash(saves)
    await killed.drain()
    assert await digest(killed.bus) == await digest(quiet.bus)
    assert killed.fake.issued == quiet.fake.issued
    assert killed.fake.resolved == quiet.fake.resolved
    assert killed.fake.states == quiet.fake.states


async def test_repeated_and_revised_candles_change_no_forecast() -> None:
    """What a crash of market-data sends again, and what a late trade revises, came too late."""
    bars = candles(60)
    revised = [candle(at, 4_000_000) for at in range(20, 40)]
    for one in revised:
        one.revision = 1
    plain, noisy = Rig(), Rig()
    for rig, sent in (
        (plain, bars),
        (noisy, [*bars[:45], *revised, *bars[10:45], *bars[45:], *bars]),
    ):
        await rig.create()
        await rig.send([raw(one) for one in sent])
        await rig.drain()
    assert await digest(noisy.bus) == await digest(plain.bus)
    assert noisy.fake.resolved == plain.fake.resolved


async def test_a_long_hole_voids_open_forecasts_and_warms_up_again() -> None:
    """Nothing is invented: no outcome, no forecast before 20 new bars."""
    rig = Rig()
    await rig.create()
    bars = candles(25)
    later = [candle(100 + at, 5_000_000 + at) for at in range(19)]
    await rig.send([raw(one) for one in [*bars, *later]])
    await rig.drain()
    assert len(rig.fake.issued) == 6
    voided = [one for one in rig.fake.resolved.values() if one[1] is None]
    assert len(voided) == 5
    assert max(one.ts_event for one in ledger_of(rig.fake).values()) == BEGIN_NS + 25 * MINUTE_NS


async def test_other_venues_and_intervals_are_passed_over() -> None:
    """Only the composite at intervals that a horizon stands on."""
    rig = Rig()
    await rig.create()
    others = [*candles(30, interval="4h"), *candles(30)]
    for one in others[30:]:
        one.venue = "binance"
    await rig.send([raw(one) for one in others])
    await rig.drain()
    assert rig.fake.issued == {}
    assert (await dead_letters(rig)) == 0


def unaligned(one: Candle) -> None:
    one.ts_open += 1


def endless(one: Candle) -> None:
    one.ts_close = one.ts_open


def worthless(one: Candle) -> None:
    one.low = 0


def crossed(one: Candle) -> None:
    one.high = one.low - 1


def astronomic(one: Candle) -> None:
    one.price_exponent = 300


def negative(one: Candle) -> None:
    one.volume = -1


def overcomplete(one: Candle) -> None:
    one.completeness = float("nan")


def still_open(one: Candle) -> None:
    one.is_closed = False


def nameless(one: Candle) -> None:
    one.instrument = "BTC\0-USDT"


@pytest.mark.parametrize(
    "spoil",
    [
        unaligned, endless, worthless, crossed, astronomic, negative, overcomplete, still_open,
        nameless,
    ],
)  # fmt: skip
async def test_an_impossible_candle_is_buried_and_the_next_are_used(
    spoil: Callable[[Candle], None],
) -> None:
    """Poison goes to the dead letters with its cause; forecasts go on."""
    rig = Rig()
    await rig.create()
    bars = candles(25)
    bad = candle(24, 5_000_000)
    spoil(bad)
    await rig.send([*(raw(one) for one in bars[:24]), raw(bad), raw(bars[24])])
    await rig.drain()
    assert await dead_letters(rig) == 1
    assert len(rig.fake.issued) == 6


async def test_two_instruments_do_not_touch_each_other() -> None:
    """A series is a pure function of its own candles."""
    both, alone = Rig(), Rig()
    btc, eth = candles(40), candles(40, seed=2, instrument="ETH-USDT")
    mixed = [one for pair in zip(btc, eth, strict=True) for one in pair]
    for rig, sent in ((both, mixed), (alone, btc)):
        await rig.create()
        await rig.send([raw(one) for one in sent])
        await rig.drain()
    of_both = {name: one for name, one in (await digest(both.bus)).items() if "BTC" in name}
    assert of_both == await digest(alone.bus)
    assert len(both.fake.issued) == 2 * len(of_both)


async def dead_letters(rig: Rig) -> int:
    name = topics.MARKET_CANDLES_V1.dead_letter
    assert name is not None
    return sum(len(records) for records in (await read_all(rig.bus, name)).values())
