"""One partition number of signal-scorer: the scores of some base assets, in one checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from teleglas.market.v1.progress_pb2 import Progress
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import PoisonError, Publisher, Record
from teleglas_common.clock import Clock
from teleglas_common.progress import Tick
from teleglas_contracts import topics
from teleglas_signal_scorer.adapters.messages import score_message
from teleglas_signal_scorer.counts import Counts
from teleglas_signal_scorer.domain.alert_marks import AlertMarks
from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.feed import Cadence, Feed
from teleglas_signal_scorer.domain.intervals import LIVE, SECOND, SECOND_NS
from teleglas_signal_scorer.domain.layer import View
from teleglas_signal_scorer.domain.layers.order_flow import WHALES
from teleglas_signal_scorer.domain.scoring import Score, score_of
from teleglas_signal_scorer.domain.state import dump_bars, dump_live, load_bars, load_live
from teleglas_signal_scorer.domain.weights import Weights, WeightsBook
from teleglas_signal_scorer.domain.whales import Whale
from teleglas_signal_scorer.ports import Checkpoint, ScoreRow, Store
from teleglas_signal_scorer.traced import TracedInputs

__all__ = ["LICENSE_NS", "MAX_FEEDS", "ScorerShard", "Tools"]

LICENSE_NS = 30 * SECOND_NS
"""For so long ahead a shard asks that weights do not change: new ones wait so long at most."""
MAX_FEEDS = 2_000
"""Instruments of one partition number; a record of one more is poison."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all shards of a process share. `receipts` are the ticks of a first run, by instrument,
    for a replay that follows them.
    """

    store: Store
    publisher: Publisher
    clock: Clock
    counts: Counts
    cadence: Cadence
    absent_after_s: float
    receipts: Mapping[str, Sequence[Tick]] = field(default_factory=dict)


class ScorerShard:
    """Handlers call it; the worker restores, checkpoints and closes it."""

    def __init__(self, number: int, tools: Tools) -> None:
        self.number = number
        self.tools = tools
        self.feeds: dict[str, Feed] = {}
        self.marks = AlertMarks()
        self.traced = TracedInputs()
        self._weights = WeightsBook(())
        self._positions: dict[str, tuple[int, int]] = {}
        self._rows: list[ScoreRow] = []
        self._touched: set[str] = set()
        self._touched_bars: set[str] = set()
        self._licensed_until = 0
        self._generation = 0
        self._marked_s: dict[str, float] = {}

    async def restore(self) -> Mapping[str, int]:
        restored = await self.tools.store.restore(self.number)
        self._generation = restored.generation
        self._licensed_until = restored.licensed_until
        self._weights = WeightsBook(restored.weights)
        for name, state in sorted(restored.states.items()):
            kind, _, instrument = name.partition("/")
            if kind == "marks":
                self.marks = AlertMarks.load(state)
            elif kind == "bars":
                load_bars(self._feed(instrument), state)
            elif kind == "live":
                load_live(self._feed(instrument), state)
        return restored.offsets

    async def checkpoint(self, offsets: Mapping[str, int]) -> None:
        states = {f"bars/{name}": dump_bars(self.feeds[name]) for name in self._touched_bars}
        states |= {f"live/{name}": dump_live(self.feeds[name]) for name in self._touched}
        states["marks/"] = self.marks.dump()
        await self.tools.store.save(
            Checkpoint(self.number, self._generation, offsets, states, self._rows)
        )
        self._rows = []
        self._touched.clear()
        self._touched_bars.clear()

    async def close(self) -> None:
        """Nothing outlives the checkpoint."""

    def read(self, record: Record) -> None:
        """A record is being handled: receipts say up to where the topics were read."""
        self._positions[record.topic] = (record.partition, record.offset + 1)

    async def take_candle(self, instrument: str, interval: str, bar: Bar) -> None:
        """Read a closed candle or a revision; make the scores that are due."""
        feed = self._feed(instrument)
        if not feed.take_candle(interval, bar):
            self.tools.counts.repeated(topics.MARKET_CANDLES_V1.name)
            return
        self._touched.add(instrument)
        if interval != SECOND.name:
            self._touched_bars.add(instrument)
        await self._release(feed)

    async def take_whale(self, instrument: str, whale: Whale) -> None:
        """Read a revision of an alert."""
        if self._feed(instrument).take_whale(whale):
            self._touched.add(instrument)
        else:
            self.tools.counts.repeated(topics.WHALE_ALERTS_V1.name)

    async def take_mark(self, mark: Progress) -> None:
        """Read how far alerts have come; make the scores that waited for it."""
        for instrument in self.marks.observe(mark):
            passed = self.marks.passed(instrument)
            if passed is None:
                continue
            feed = self._feed(instrument)
            feed.alerts_passed(passed)
            self._marked_s[instrument] = self.tools.clock.monotonic_s()
            self._touched.add(instrument)
            await self._release(feed)

    def _feed(self, instrument: str) -> Feed:
        feed = self.feeds.get(instrument)
        if feed is None:
            if len(self.feeds) >= MAX_FEEDS:
                raise PoisonError(
                    "too_many_instruments",
                    f"expected at most {MAX_FEEDS} in partition number {self.number},"
                    f" {instrument} is one more",
                )
            receipts = self.tools.receipts.get(instrument, ())
            feed = Feed(instrument, LIVE, self.tools.cadence, receipts)
            self.feeds[instrument] = feed
            self._marked_s[instrument] = self.tools.clock.monotonic_s()
        return feed

    def _awaited(self, instrument: str) -> Collection[str]:
        """Alerts are on their way as long as their marks are not silent about the instrument."""
        silent_s = self.tools.clock.monotonic_s() - self._marked_s[instrument]
        return () if silent_s > self.tools.absent_after_s else (WHALES,)

    async def _release(self, feed: Feed) -> None:
        while (tick := feed.due(self._awaited(feed.instrument))) is not None:
            view = feed.view(tick)
            if view is not None:
                await self._say(feed, view)
            self._touched_bars.add(feed.instrument)

    async def _say(self, feed: Feed, view: View) -> None:
        weights = await self._weights_at(view.tick)
        tools = self.tools
        score = score_of(feed.instrument, view, weights, feed.stance, tools.counts.layers)
        feed.stance = score.stance
        now_ns = tools.clock.now_ns()
        message = score_message(score, self._positions)
        with self.traced.publishing(feed.instrument):
            record = outgoing(
                topics.SIGNAL_SCORES_V1,
                message,
                key=feed.instrument,
                subject=feed.instrument,
                now_ns=now_ns,
                event_id=score.id,
            )
            await tools.publisher.send(record)
        self._keep(score, record.value or b"")
        tools.counts.scored(score, now_ns)
        tools.counts.absent(view.absent)

    def _keep(self, score: Score, message: bytes) -> None:
        self._rows.append(
            ScoreRow(
                score.instrument,
                score.tick,
                score.weights_version,
                score.score,
                score.price,
                message,
            )
        )

    async def _weights_at(self, tick: int) -> Weights:
        if tick > self._licensed_until:
            until = tick + LICENSE_NS
            known = await self.tools.store.license(self.number, self._generation, until)
            self._weights.learn(known)
            self._licensed_until = until
        return self._weights.at(tick)
