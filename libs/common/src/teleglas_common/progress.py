"""How far event time has come: marks of sources in one partition, joins at ticks over several
inputs. Pure: what comes out is a function of what went in, in its order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

__all__ = ["Instrument", "Mark", "ProgressTracker", "Tick", "TickJoin"]

Instrument = tuple[str, str]
"""Venue and instrument."""


class Mark(Protocol):
    """A progress mark, as `teleglas.market.v1.Progress` is one: the source will write nothing with
    `ts_event` at or below its own here any more.
    """

    @property
    def venue(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def writer_epoch(self) -> int: ...
    @property
    def ts_event(self) -> int: ...
    @property
    def instruments(self) -> Iterable[str]: ...
    @property
    def lease_ns(self) -> int: ...
    @property
    def retired(self) -> bool: ...


class _Source(msgspec.Struct, array_like=True):
    venue: str
    writer_epoch: int
    ts_event: int
    instruments: tuple[str, ...]
    lease_ns: int
    retired: bool

    def covers(self) -> set[Instrument]:
        return {(self.venue, instrument) for instrument in self.instruments}

    def is_live(self, furthest: int) -> bool:
        return not self.retired and self.ts_event + self.lease_ns >= furthest


class _TrackerState(msgspec.Struct, array_like=True):
    furthest: int | None
    sources: list[tuple[str, _Source]]
    watermarks: list[tuple[Instrument, int]]


class ProgressTracker:
    """Watermarks of the instruments of one partition of one topic.

    An instrument's watermark is the lowest mark of the live sources that cover it, and never goes
    back: not when a source joins behind it, nor when all its sources are gone or retired (then it
    stays where it is until one speaks again).
    """

    def __init__(self) -> None:
        self._furthest: int | None = None
        self._sources: dict[str, _Source] = {}
        self._watermarks: dict[Instrument, int] = {}

    @property
    def furthest(self) -> int | None:
        """The highest mark of any source so far, ns; leases are measured against it."""
        return self._furthest

    def watermark(self, venue: str, instrument: str) -> int | None:
        """Nothing at or below this time (ns) is still to come; None before the first mark."""
        return self._watermarks.get((venue, instrument))

    def observe(self, mark: Mark) -> list[Instrument]:
        """Take a mark in; return the instruments whose watermark moved, sorted.

        A mark of a lower writer epoch than the source's newest is void, and so is any mark of an
        epoch that has retired. A newer epoch takes over coverage and lease.
        """
        known = self._sources.get(mark.source)
        if known is not None:
            fenced = mark.writer_epoch < known.writer_epoch
            if fenced or (known.retired and mark.writer_epoch == known.writer_epoch):
                return []
        source = _Source(
            venue=mark.venue,
            writer_epoch=mark.writer_epoch,
            ts_event=mark.ts_event if known is None else max(known.ts_event, mark.ts_event),
            instruments=tuple(sorted(set(mark.instruments))),
            lease_ns=mark.lease_ns,
            retired=mark.retired,
        )
        touched = source.covers() | (set() if known is None else known.covers())
        before = self._furthest
        self._sources[mark.source] = source
        self._furthest = source.ts_event if before is None else max(before, source.ts_event)
        if before is not None and self._furthest > before:
            for other in self._sources.values():
                if other.is_live(before) and not other.is_live(self._furthest):
                    touched |= other.covers()
        return [instrument for instrument in sorted(touched) if self._raise(instrument)]

    def _raise(self, instrument: Instrument) -> bool:
        furthest = self._furthest or 0
        marks = [
            source.ts_event
            for source in self._sources.values()
            if source.is_live(furthest)
            and source.venue == instrument[0]
            and instrument[1] in source.instruments
        ]
        held = self._watermarks.get(instrument)
        if not marks or (held is not None and min(marks) <= held):
            return False
        self._watermarks[instrument] = min(marks)
        return True

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        return msgspec.msgpack.encode(
            _TrackerState(
                self._furthest, sorted(self._sources.items()), sorted(self._watermarks.items())
            )
        )

    @classmethod
    def restore(cls, snapshot: bytes) -> ProgressTracker:
        """A tracker that goes on where `snapshot` was taken."""
        state = msgspec.msgpack.decode(snapshot, type=_TrackerState)
        tracker = cls()
        tracker._furthest = state.furthest
        tracker._sources = dict(state.sources)
        tracker._watermarks = dict(state.watermarks)
        return tracker


@dataclass(frozen=True, slots=True)
class Tick:
    """A time (ns) at which inputs are joined, with the inputs that had not passed it."""

    ts_event: int
    missing: tuple[str, ...] = ()


class _JoinState(msgspec.Struct, array_like=True):
    next_tick: int | None
    progress: list[tuple[str, int]]


class TickJoin:
    """Releases ticks, one each `interval_ns` of event time, when all inputs have passed them.

    An input that lies behind when another is `deadline_ns` past a tick is missing at that tick.
    Which inputs were missing depends on how the topics interleaved, so a replay is given the
    `receipts` of the first run: their ticks are released with just what was missing then.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        interval_ns: int,
        deadline_ns: int,
        receipts: Sequence[Tick] = (),
    ) -> None:
        if not inputs or interval_ns <= 0 or deadline_ns < 0:
            raise ValueError(
                "expected inputs, an interval above 0 and a deadline of 0 or more,"
                f" was {inputs}, {interval_ns}, {deadline_ns}"
            )
        self._inputs = tuple(inputs)
        self._interval_ns = interval_ns
        self._deadline_ns = deadline_ns
        self._receipts = {receipt.ts_event: receipt for receipt in receipts}
        self._progress: dict[str, int] = {}
        self._next: int | None = min(self._receipts, default=None)

    def observe(self, name: str, watermark_ns: int) -> None:
        """An input has come so far. The first tick lies behind the first watermark of any input."""
        if name not in self._inputs:
            raise ValueError(f"expected one of {self._inputs}, was {name}")
        self._progress[name] = max(watermark_ns, self._progress.get(name, watermark_ns))
        if self._next is None:
            self._next = (watermark_ns // self._interval_ns + 1) * self._interval_ns

    def release(self, max_ticks: int = 1_000, awaited: Collection[str] = ()) -> list[Tick]:
        """The next ticks in order, at most `max_ticks`: ask again while it gives as many.

        `awaited` inputs are known to be on their way: the deadline does not hold for them.
        """
        ticks: list[Tick] = []
        while len(ticks) < max_ticks and (tick := self._due(awaited)) is not None:
            ticks.append(tick)
            self._next = tick.ts_event + self._interval_ns
        return ticks

    def skip_to(self, ts_event: int) -> None:
        """Leave out the ticks before this time; nothing happens where the next one is behind it."""
        if self._next is not None and ts_event > self._next:
            self._next = -(-ts_event // self._interval_ns) * self._interval_ns

    def _due(self, awaited: Collection[str]) -> Tick | None:
        if self._next is None or not self._progress:
            return None
        behind = tuple(
            name for name in self._inputs if self._progress.get(name, self._next - 1) < self._next
        )
        receipt = self._receipts.get(self._next)
        if receipt is not None:
            return receipt if set(behind) <= set(receipt.missing) else None
        late = max(self._progress.values()) >= self._next + self._deadline_ns
        late = late and not any(name in awaited for name in behind)
        return Tick(self._next, behind) if late or not behind else None

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        return msgspec.msgpack.encode(_JoinState(self._next, sorted(self._progress.items())))

    def resume(self, snapshot: bytes) -> None:
        """Go on where `snapshot` was taken; inputs that are not ours any more are forgotten."""
        state = msgspec.msgpack.decode(snapshot, type=_JoinState)
        self._next = state.next_tick
        self._progress = {name: at for name, at in state.progress if name in self._inputs}
