"""The scores of a product's topics made again, in this process, without a group or a database."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import (
    EARLIEST,
    Bus,
    Incoming,
    Outgoing,
    PoisonError,
    Reader,
    Record,
    TopicPartition,
)
from teleglas_common.progress import Tick
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_signal_scorer.counts import Counts, Registry
from teleglas_signal_scorer.domain.feed import Cadence
from teleglas_signal_scorer.domain.layers.order_flow import WHALES
from teleglas_signal_scorer.domain.weights import FIRST, Weights
from teleglas_signal_scorer.ports import Checkpoint, Restored, ScoreRow
from teleglas_signal_scorer.routes import READS, ROUTES
from teleglas_signal_scorer.shard import ScorerShard, Tools

__all__ = ["Receipts", "Replay", "ReplayError", "read_receipts", "replay", "rows_of"]

POLL_S = 5.0
BATCH = 500
SAVE_EVERY = 2_000
NEVER_S, AT_ONCE_S = 1.0, -1.0
"""On a clock that stands still: when alerts count as absent."""
_HANDLERS = {(route.topic.name, route.schema): route.handler for route in ROUTES}


class ReplayError(RuntimeError):
    """The log did not give what it holds."""


@dataclass(slots=True)
class Receipts:
    """What a first run did: its ticks by instrument, and the weights that it used."""

    ticks: dict[str, list[Tick]] = field(default_factory=dict)
    weights: dict[int, Weights] = field(default_factory=dict)

    @property
    def tick_ns(self) -> int:
        """The cadence of the first run: the smallest step between its ticks, 0 if there is none."""
        steps = {
            later - tick
            for ticks in self.ticks.values()
            for tick, later in pairwise(sorted({one.ts_event for one in ticks}))
        }
        return min(steps, default=0)

    def add(self, score: SignalScore) -> None:
        """Take a score in; a tick that was written twice counts once."""
        missing = tuple(name for name in score.receipt.missing if name == WHALES)
        self.ticks.setdefault(score.instrument, []).append(Tick(score.ts_event, missing))
        version = score.receipt.weights_version
        known = self.weights.get(version)
        if known is None or score.ts_event < known.ts_effective:
            layers = tuple((one.layer, one.weight) for one in score.receipt.contributions)
            self.weights[version] = Weights(version, layers, score.ts_event)


@dataclass(slots=True)
class Replay:
    """What a replay said, by instrument and tick, and how many records were poison."""

    rows: dict[str, dict[int, ScoreRow]] = field(default_factory=dict)
    poison: int = 0

    def keep(self, row: ScoreRow) -> None:
        self.rows.setdefault(row.instrument, {})[row.tick] = row


async def read_receipts(bus: Bus) -> Receipts:
    """The receipts that a first run left on its topic."""
    found = Receipts()
    for number in range(topics.SIGNAL_SCORES_V1.partitions):
        inlet = _Inlet(bus, topics.SIGNAL_SCORES_V1, number)
        await inlet.start()
        try:
            while (record := await inlet.head()) is not None:
                inlet.pop()
                score = decode(record)
                if isinstance(score, SignalScore):
                    found.add(score)
        finally:
            await inlet.stop()
    return found


async def replay(
    bus: Bus,
    *,
    registry: Registry,
    cadence: Cadence,
    weights: Sequence[Weights] = (FIRST,),
    receipts: Receipts | None = None,
) -> Replay:
    """Read the input topics from begin to end and make the scores anew.

    Without receipts a tick waits for the alerts' marks however long they take; only where their
    partition is empty it does without. With receipts it leaves out just what the first run did, and
    ends where that ended.
    """
    found = Replay()
    store = _Store(found, tuple((receipts.weights if receipts else {}).values()) or tuple(weights))
    ticks = receipts.ticks if receipts else {}
    for number in range(topics.MARKET_CANDLES_V1.partitions):
        inlets = [_Inlet(bus, topic, number) for topic in READS]
        try:
            for inlet in inlets:
                await inlet.start()
            has_alerts = await inlets[READS.index(topics.WHALE_ALERTS_V1)].head() is not None
            absent_after_s = NEVER_S if has_alerts else AT_ONCE_S
            tools = Tools(
                store, _Nowhere(), _Clock(), Counts(registry), cadence, absent_after_s, ticks
            )
            await _replay_number(inlets, ScorerShard(number, tools), found)
        finally:
            for inlet in inlets:
                await inlet.stop()
    if receipts is not None:
        _end_with(found, receipts)
    return found


def _end_with(found: Replay, receipts: Receipts) -> None:
    for instrument, rows in found.rows.items():
        known = receipts.ticks.get(instrument, ())
        last = max((tick.ts_event for tick in known), default=0)
        for tick in [tick for tick in rows if tick > last]:
            del rows[tick]


async def _replay_number(inlets: Sequence[_Inlet], shard: ScorerShard, found: Replay) -> None:
    await shard.restore()
    handled = 0
    while (behind := await _furthest_behind(inlets)) is not None:
        await _handle(shard, behind.pop(), found)
        handled += 1
        if handled % SAVE_EVERY == 0:
            await shard.checkpoint({})
    await shard.checkpoint({})


async def _furthest_behind(inlets: Sequence[_Inlet]) -> _Inlet | None:
    """The topic whose next record is of the earliest event time."""
    ready = [inlet for inlet in inlets if await inlet.head() is not None]
    return min(ready, key=lambda inlet: inlet.ts_event, default=None)


async def _handle(shard: ScorerShard, record: Record, found: Replay) -> None:
    try:
        message = decode(record)
        handler = _HANDLERS.get((record.topic, type(message)))
        if handler is not None:
            await handler(shard, Incoming(message, record))
    except PoisonError:
        found.poison += 1


class _Inlet:
    """One partition of one topic, from its begin to where it ended when this began."""

    def __init__(self, bus: Bus, topic: Topic, number: int) -> None:
        self._bus = bus
        self._at = TopicPartition(topic.name, number)
        self._reader: Reader | None = None
        self._records: deque[Record] = deque()
        self._left_from = 0
        self._end = 0
        self.ts_event = 0

    async def start(self) -> None:
        name = self._at.topic
        begins, ends = await self._bus.begins([name]), await self._bus.ends([name])
        self._left_from, self._end = begins.get(self._at, 0), ends.get(self._at, 0)
        if self._left_from < self._end:
            self._reader = self._bus.reader({self._at: EARLIEST})
            await self._reader.start()

    async def head(self) -> Record | None:
        """The next record, None at the end."""
        quiet = 0
        while not self._records and self._reader is not None and self._left_from < self._end:
            polled = await self._reader.poll(max_records=BATCH, timeout_s=POLL_S)
            records = polled.get(self._at, ())
            quiet = 0 if records else quiet + 1
            if quiet > 3:
                raise ReplayError(f"expected records of {self._at} up to {self._end}, none came")
            self._records.extend(one for one in records if one.offset < self._end)
            if records:
                self._left_from = records[-1].offset + 1
        if not self._records:
            return None
        self.ts_event = max(self.ts_event, _time_of(self._records[0]))
        return self._records[0]

    def pop(self) -> Record:
        return self._records.popleft()

    async def stop(self) -> None:
        if self._reader is not None:
            await self._reader.stop()


def _time_of(record: Record) -> int:
    try:
        message: Any = decode(record)
    except PoisonError:
        return 0
    return int(message.ts_close if isinstance(message, Candle) else message.ts_event)


@dataclass(slots=True)
class _Store:
    """Keeps scores in memory; weights are as given."""

    found: Replay
    weights: Sequence[Weights]

    async def restore(self, shard: int) -> Restored:  # noqa: ARG002  # nothing was stored
        return Restored(1, weights=self.weights)

    async def save(self, checkpoint: Checkpoint) -> None:
        for row in checkpoint.scores:
            self.found.keep(row)

    async def license(
        self,
        shard: int,  # noqa: ARG002  # all weights are known beforehand
        generation: int,  # noqa: ARG002
        until: int,  # noqa: ARG002
    ) -> Sequence[Weights]:
        return self.weights


class _Clock:
    """Stands still: nothing here is late."""

    def now_ns(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        del seconds


class _Nowhere:
    """Scores go to the store only."""

    async def send(self, record: Outgoing) -> None:
        del record

    async def flush(self) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def rows_of(found: Replay) -> Mapping[str, list[ScoreRow]]:
    """By instrument, oldest first."""
    return {name: [rows[tick] for tick in sorted(rows)] for name, rows in found.rows.items()}
