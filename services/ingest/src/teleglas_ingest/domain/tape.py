"""One instrument's trades by the venue's ids: repeats dropped, holes named and filled."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

__all__ = ["Hole", "Seen", "TradeTape"]

MAX_HOLES = 64


class Seen(Enum):
    NEXT = "next"
    HOLE_BEFORE = "hole_before"
    """Taken, and ids before it are missing."""
    FILLS_HOLE = "fills_hole"
    REPEAT = "repeat"


class Hole(Struct):
    """Ids that are missing, inclusive. `ts_from` is the time of the last trade before it."""

    first: int
    last: int
    ts_from: int
    ts_to: int
    missing: list[tuple[int, int]]
    recovered: int = 0

    @property
    def open_ids(self) -> int:
        return sum(last - first + 1 for first, last in self.missing)


class TradeTape:
    """Follows one instrument's trade ids. `last` is the highest one seen, or None before any."""

    def __init__(self, last: int | None = None, ts_event: int = 0) -> None:
        self.last = last
        self.ts_event = ts_event
        self.holes: list[Hole] = []
        self.repeats = 0

    def see(self, sequence: int, ts_event: int, fills: int = 1) -> Seen:
        """Judge a trade that stands for the ids sequence - fills + 1 to sequence."""
        last = self.last
        first = sequence - fills + 1
        if last is None or first == last + 1:
            self.last = sequence
            self.ts_event = ts_event
            return Seen.NEXT
        if first > last + 1:
            hole = Hole(last + 1, first - 1, self.ts_event, ts_event, [(last + 1, first - 1)])
            self.holes.append(hole)
            self.last = sequence
            self.ts_event = ts_event
            return Seen.HOLE_BEFORE
        if any(_fill(hole, first, sequence) for hole in self.holes):
            return Seen.FILLS_HOLE
        self.repeats += 1
        return Seen.REPEAT

    def expect(self, upto: int, ts_event: int) -> Hole | None:
        """Note that the venue has ids up to `upto`; return the hole that this opens, if any."""
        if self.last is None or upto <= self.last:
            return None
        hole = Hole(self.last + 1, upto, self.ts_event, ts_event, [(self.last + 1, upto)])
        self.holes.append(hole)
        self.last = upto
        self.ts_event = max(self.ts_event, ts_event)
        return hole

    def open_before(self, first: int, last: int, ts_from: int, ts_to: int) -> Hole:
        """Note ids that were traded before this tape began and are missing."""
        hole = Hole(first, last, ts_from, ts_to, [(first, last)])
        self.holes.append(hole)
        return hole

    def forget(self, upto: int) -> None:
        """Miss no ids up to `upto` any more: another tape has followed them."""
        for hole in self.holes:
            hole.missing = [(max(a, upto + 1), b) for a, b in hole.missing if b > upto]
        self.holes = [hole for hole in self.holes if hole.missing]

    def close(self, hole: Hole) -> None:
        """Stop waiting for what is still missing of a hole."""
        self.holes = [other for other in self.holes if other is not hole]

    def overflow(self) -> Hole | None:
        """The oldest hole, given up, when there are more than we follow."""
        if len(self.holes) <= MAX_HOLES:
            return None
        return self.holes.pop(0)

    @property
    def held_at(self) -> int | None:
        """Time of the last trade before the oldest open hole: nothing later is certain yet."""
        return min((hole.ts_from for hole in self.holes), default=None)


def _fill(hole: Hole, first: int, last: int) -> bool:
    """Take ids first to last out of a hole; False unless all of them were missing."""
    for index, (low, high) in enumerate(hole.missing):
        if low <= first and last <= high:
            rest = [(low, first - 1), (last + 1, high)]
            hole.missing[index : index + 1] = [pair for pair in rest if pair[0] <= pair[1]]
            hole.recovered += last - first + 1
            return True
    return False
