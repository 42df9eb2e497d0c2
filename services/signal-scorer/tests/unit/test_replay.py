"""Scores made again from the topics are those of the live run, digest for digest."""

from __future__ import annotations

from typing import Any

from signal_feeds import BEGIN, BTC, SECOND, Market
from signal_rig import FakeStore, Rig

from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas_common.telemetry import Metrics
from teleglas_signal_scorer.domain.feed import Cadence
from teleglas_signal_scorer.domain.weights import FIRST, Weights
from teleglas_signal_scorer.replay import Receipts, Replay, read_receipts, replay, rows_of
from teleglas_signal_scorer.score_digest import ScoreDigest

MINUTES = 12
CADENCE = Cadence(10 * SECOND, 10 * SECOND)


def markets() -> tuple[list[Any], list[Any]]:
    """Candles and alerts of two instruments."""
    both = [Market(2), Market(3, "ETH-USDT")]
    candles = [one for market in both for one in market.candles(MINUTES)]
    return candles, [one for market in both for one in market.alerts(MINUTES)]


async def again(rig: Rig, receipts: Receipts | None = None) -> Replay:
    return await replay(rig.bus, registry=Metrics(), cadence=CADENCE, receipts=receipts)


def digest_of(found: Replay) -> str:
    digest = ScoreDigest()
    for rows in rows_of(found).values():
        for row in rows:
            digest.add(SignalScore.FromString(row.message))
    return digest.hexdigest()


async def test_replay_without_receipts_equals_a_live_run_that_missed_nothing() -> None:
    """The same engine over the same topics, in another interleaving."""
    rig = Rig()
    await rig.create()
    candles, alerts = markets()
    await rig.send(candles + alerts)
    await rig.drain()
    found = await again(rig)
    assert sorted(found.rows) == [BTC, "ETH-USDT"]
    assert digest_of(found) == await rig.digest()
    assert digest_of(await again(rig)) == await rig.digest()


async def test_replay_with_receipts_equals_a_live_run_that_lacked_alerts() -> None:
    """Only with the receipts: without them the alerts would have been waited for."""
    rig = Rig(absent_after_s=0.0)
    await rig.create()
    candles, alerts = markets()
    await rig.send(candles)
    await rig.drain()
    await rig.send(alerts)
    await rig.drain()
    assert digest_of(await again(rig)) != await rig.digest()
    receipts = await read_receipts(rig.bus)
    assert receipts.tick_ns == CADENCE.tick_ns
    assert digest_of(await again(rig, receipts)) == await rig.digest()


async def test_replay_takes_changed_weights_from_the_receipts() -> None:
    """Nobody has to say which weights were in force."""
    layers = (("technical", 10.0), ("cvd", 10.0), ("order_flow", 80.0))
    changed = Weights(2, layers, BEGIN + 301 * SECOND)
    rig = Rig(store=FakeStore(weights=[FIRST, changed]))
    await rig.create()
    candles, alerts = markets()
    await rig.send(candles + alerts)
    await rig.drain()
    receipts = await read_receipts(rig.bus)
    assert receipts.weights[2].layers == layers
    assert digest_of(await again(rig, receipts)) == await rig.digest()


async def test_replay_finds_a_score_that_the_live_run_lost() -> None:
    """A hole in the live scores is not copied: the digests differ."""
    rig = Rig()
    await rig.create()
    candles, alerts = markets()
    await rig.send(candles + alerts)
    await rig.drain()
    receipts = await read_receipts(rig.bus)
    lost = receipts.ticks[BTC].pop(5)
    found = await again(rig, receipts)
    assert lost.ts_event in found.rows[BTC]


async def test_topics_without_alerts_are_scored_without_them() -> None:
    """No detector runs: every receipt names what is missing."""
    rig = Rig(absent_after_s=0.0)
    await rig.create()
    candles, _ = markets()
    await rig.send(candles)
    await rig.drain()
    found = await again(rig)
    assert digest_of(found) == await rig.digest()
