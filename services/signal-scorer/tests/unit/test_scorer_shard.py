"""The shard on the in-memory bus: what it says, whatever happens around it."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
from signal_feeds import BEGIN, BTC, SECOND, Market, alert, candle, mark
from signal_rig import FakeStore, Rig

from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.testing import read_all
from teleglas_common.clock import ManualClock
from teleglas_common.progress import Tick
from teleglas_common.telemetry import Metrics
from teleglas_signal_scorer.adapters.messages import bar_of
from teleglas_signal_scorer.counts import Counts
from teleglas_signal_scorer.domain.feed import Cadence
from teleglas_signal_scorer.domain.intervals import LIVE
from teleglas_signal_scorer.domain.layers.order_flow import WHALES
from teleglas_signal_scorer.domain.weights import FIRST, Weights
from teleglas_signal_scorer.routes import READS, WRITES
from teleglas_signal_scorer.shard import ScorerShard, Tools

MINUTES = 18


@cache
def messages() -> tuple[list[Any], list[Any]]:
    market = Market()
    return market.candles(MINUTES), market.alerts(MINUTES)


def shuffled(seed: int, one: list[Any], other: list[Any]) -> list[Any]:
    """Both lists, each in its own order, interleaved at random in runs."""
    rng = random.Random(seed)
    queues = [list(reversed(one)), list(reversed(other))]
    found: list[Any] = []
    while any(queues):
        queue = rng.choice([queue for queue in queues if queue])
        found += [queue.pop() for _ in range(min(len(queue), rng.randrange(1, 400)))]
    return found


async def run(*parts: list[Any], rig: Rig | None = None) -> Rig:
    """A service that reads the parts one behind the other."""
    rig = rig or Rig()
    await rig.create()
    for part in parts:
        await rig.send(part)
        await rig.drain()
    return rig


async def test_scores_of_a_market_are_sums_of_their_contributions_at_every_tick() -> None:
    """Each tick has one score, and whoever adds its stored points gets the same double."""
    candles, alerts = messages()
    rig = await run(candles + alerts)
    scores = list((await rig.scores()).values())
    ticks = sorted(score.ts_event for score in scores)
    assert ticks == list(range(ticks[0], ticks[-1] + 1, 10 * SECOND))
    assert ticks[0] == BEGIN + 70 * SECOND
    assert ticks[-1] == BEGIN + MINUTES * 60 * SECOND
    for score in scores:
        total = 0.0
        for one in score.receipt.contributions:
            total += one.points
        assert total == score.score
        assert -100.0 <= score.score <= 100.0
        assert score.receipt.confidence_cost == pytest.approx(1.0 - score.confidence)
    assert len({score.stance for score in scores}) > 1
    assert any("whales.largest" in str(score.receipt) for score in scores)


@pytest.mark.parametrize("seed", range(2))
async def test_scores_do_not_depend_on_how_topics_interleave(seed: int) -> None:
    """Candles far ahead of alerts, or behind them: every double is the same."""
    candles, alerts = messages()
    plain = await run(candles + alerts)
    mixed = shuffled(seed, candles, alerts)
    half = len(mixed) // 2
    other = await run(mixed[:half], mixed[half:])
    assert await other.digest() == await plain.digest()


@pytest.mark.parametrize("saves", [1, 2, 3])
async def test_a_crash_between_checkpoints_changes_no_score(saves: int) -> None:
    """What was read after the last checkpoint is read again and says the same."""
    candles, alerts = messages()
    plain = await run(candles + alerts)
    rig = Rig(checkpoint_s=0.005, turn_records=16)
    await rig.create()
    mixed = shuffled(saves, candles, alerts)
    for at in range(0, len(mixed), 700):
        await rig.send(mixed[at : at + 700])
        await rig.run_and_crash(saves)
    await rig.drain()
    assert await rig.digest() == await plain.digest()
    assert isinstance(rig.store, FakeStore)
    assert rig.store.changed == 0
    assert len(rig.store.scores) == len(await rig.scores())


async def test_candles_written_twice_after_a_crash_of_their_writer_change_nothing() -> None:
    """A repeated stretch of the candles' topic, old revisions among it, is known already."""
    candles, alerts = messages()
    plain = await run(candles + alerts)
    again = candles[:700] + candles[500:]
    other = await run(again + alerts)
    assert await other.digest() == await plain.digest()


async def test_a_late_revision_counts_from_the_next_tick_only() -> None:
    """A score that was due before the revision was written never has it."""
    candles, alerts = Market(late_share=0.0).candles(6), Market().alerts(6)
    plain = await run(candles + alerts)
    at = next(i for i, one in enumerate(candles) if one.ts_close == BEGIN + 200 * SECOND)
    late = type(candles[0])()
    late.CopyFrom(candles[at - 5])
    late.revision, late.volume, late.taker_buy_volume = 1, 900_000, 900_000
    revised = await run([*candles[: at + 1], late, *candles[at + 1 :], *alerts])
    before, after = await plain.scores(), await revised.scores()
    differ = [one for one in before if before[one].score != after[one].score]
    assert differ[0] == f"{BTC}:{BEGIN + 210 * SECOND}:1"


async def test_alerts_that_fell_silent_are_named_and_cost_confidence() -> None:
    """Past the deadline a tick does without them, and says so."""
    candles, alerts = messages()
    rig = Rig(absent_after_s=0.0)
    await run(candles, rig=rig)
    scores = list((await rig.scores()).values())
    assert all(WHALES in score.receipt.missing for score in scores)
    whole = await run(candles + alerts)
    pairs = zip(scores, (await whole.scores()).values(), strict=False)
    assert all(one.confidence < other.confidence for one, other in pairs)


async def test_a_replay_follows_the_receipts_of_a_run_without_alerts() -> None:
    """The receipts say what was missing at each tick; a replay leaves out just that."""
    candles, alerts = messages()
    first = Rig(absent_after_s=0.0)
    half = len(candles) // 2
    await run(candles[:half], alerts, candles[half:], rig=first)
    live = await first.scores()
    missing = [WHALES in score.receipt.missing for score in live.values()]
    assert any(missing)
    assert not all(missing)
    receipts = [
        Tick(score.ts_event, tuple(name for name in score.receipt.missing if name == WHALES))
        for score in live.values()
    ]
    again = await run(alerts, candles, rig=Rig(receipts={BTC: receipts}))
    assert await again.digest() == await first.digest()


async def test_weights_change_at_their_tick_and_nowhere_else() -> None:
    """A version is in force from its event time on, also in a replay."""
    candles, alerts = messages()
    at = BEGIN + 600 * SECOND
    second = Weights(2, (("technical", 0.0), ("cvd", 100.0), ("order_flow", 0.0)), at, "me", "why")
    rig = await run(candles + alerts, rig=Rig(store=FakeStore(weights=[FIRST, second])))
    for score in (await rig.scores()).values():
        version = 2 if score.ts_event >= at else 1
        assert score.id == f"{BTC}:{score.ts_event}:{version}"
        assert score.receipt.weights_version == version


async def test_a_market_that_stops_for_days_is_not_scored_meanwhile() -> None:
    """Ticks without candles are left out, however many there are."""
    day = 86_400 * SECOND
    first = candle("1m", BEGIN, (10, 10, 10, 10), 1, 1)
    longer = [candle(name, BEGIN, (10, 10, 10, 10), 1, 1) for name in ("5m", "15m")]
    far = [candle(name, BEGIN + 400 * day, (10, 10, 10, 10), 1, 1) for name in ("1m", "5m", "15m")]
    rig = await run([first, *longer, *far, mark(BEGIN + 401 * day)])
    ticks = [score.ts_event for score in (await rig.scores()).values()]
    assert all(ts < BEGIN + 121 * SECOND or ts >= BEGIN + 400 * day for ts in ticks)
    assert len(ticks) < 20


async def test_impossible_records_are_buried_and_the_rest_is_scored() -> None:
    """Nonsense goes to the dead-letter topics with a cause; scores are those without it."""
    candles, alerts = messages()
    plain = await run(candles + alerts)
    odd = candle("1m", BEGIN + 1, (10, 10, 10, 10), 1, 1)
    negative = candle("1m", BEGIN, (-10, 10, 10, 10), 1, 1)
    unnamed = candle("1m", BEGIN, (10, 10, 10, 10), 1, 1, instrument="B\0-USDT")
    nobody = alert(1, -5, 100)
    other = await run([odd, negative, unnamed, nobody, mark(-1), *candles, *alerts])
    assert await other.digest() == await plain.digest()
    buried = await read_all(other.bus, "teleglas.market.candles.v1.dlt")
    assert sum(len(records) for records in buried.values()) == 3


async def test_an_instrument_that_no_mark_covers_is_scored_without_alerts() -> None:
    """Marks about its neighbours do not keep it waiting; its own would."""
    candles, _ = messages()
    minutes = [one for one in candles if one.interval != "1s"]
    for marked, expected in (("BTC-EUR", True), (BTC, False)):
        clock, store, bus = ManualClock(), FakeStore(), MemoryBus()
        await bus.create([*READS, *WRITES])
        publisher = bus.publisher()
        await publisher.start()
        cadence = Cadence(10 * SECOND, 10 * SECOND)
        tools = Tools(store, publisher, clock, Counts(Metrics()), cadence, 30.0)
        shard = ScorerShard(0, tools)
        await shard.restore()
        for at, one in enumerate(minutes):
            await clock.advance(5.0)
            await shard.take_mark(mark(BEGIN + at + 1, instrument=marked))
            interval = LIVE.find(one.interval)
            assert interval is not None
            await shard.take_candle(BTC, one.interval, bar_of(one, interval))
        await shard.checkpoint({})
        assert bool(store.scores) is expected
