"""How far whale alerts have come, for each instrument over its venues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from teleglas_common.progress import Mark, ProgressTracker

__all__ = ["AlertMarks"]

GONE_NS = 30 * 1_000_000_000
"""A venue that lies so far behind the furthest of an instrument's venues is not waited for."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A mark with a source of its own for each venue: a detector has one name for all of them."""

    venue: str
    source: str
    writer_epoch: int
    ts_event: int
    instruments: Iterable[str]
    lease_ns: int
    retired: bool


class _State(msgspec.Struct, array_like=True):
    tracker: bytes
    venues: dict[str, dict[str, int]]


class AlertMarks:
    """Feed it the marks of whale.alerts in their order."""

    def __init__(self) -> None:
        self._tracker = ProgressTracker()
        self._venues: dict[str, dict[str, int]] = {}

    def observe(self, mark: Mark) -> list[str]:
        """Take a mark in; return the instruments that it moved, sorted."""
        moved = self._tracker.observe(
            _Mark(
                mark.venue,
                f"{mark.source}@{mark.venue}",
                mark.writer_epoch,
                mark.ts_event,
                mark.instruments,
                mark.lease_ns,
                mark.retired,
            )
        )
        for venue, instrument in moved:
            watermark = self._tracker.watermark(venue, instrument)
            if watermark is not None:
                self._venues.setdefault(instrument, {})[venue] = watermark
        return sorted({instrument for _, instrument in moved})

    def passed(self, instrument: str) -> int | None:
        """No alert of this instrument up to this time (ns) is still to come, of any venue that
        keeps up; None before the first mark.
        """
        marks = self._venues.get(instrument)
        if not marks:
            return None
        furthest = max(marks.values())
        return min(mark for mark in marks.values() if mark + GONE_NS >= furthest)

    def dump(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        return msgspec.msgpack.encode(
            _State(self._tracker.snapshot(), self._venues), order="deterministic"
        )

    @classmethod
    def load(cls, state: bytes) -> AlertMarks:
        """Go on where `dump` was taken."""
        found = msgspec.msgpack.decode(state, type=_State)
        marks = cls()
        marks._tracker = ProgressTracker.restore(found.tracker)
        marks._venues = found.venues
        return marks
