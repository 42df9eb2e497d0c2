"""Which trades were seen: exact for ids that count up by one, the newest ones for others."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Hole", "RecentIds", "SeenRanges", "Verdict"]

MAX_RANGES = 512
"""Beyond it the oldest hole is forgotten: what would fill it must be looked up in the store."""
MAX_RECENT = 4096
"""About one busy minute of an instrument; older ones are looked up in the store."""


class Verdict:
    """What is known of a trade's id."""

    FRESH = 0
    SEEN = 1
    UNSURE = 2


class Hole(NamedTuple):
    """Missing sequences, inclusive, and the times of the trades on both sides of it."""

    first: int
    last: int
    ts_from: int
    ts_to: int


@dataclass(slots=True)
class SeenRanges:
    """Sequences seen, as ranges in order: `[first, last, ts of first, ts of last]`.

    `changes` counts the holes that came (+1) or went (-1) since it was last cleared; a hole that
    did both cancels out, so trades out of order within a batch leave no mark.
    """

    ranges: list[list[int]] = field(default_factory=list)
    floor: int = -1
    changes: Counter[Hole] = field(default_factory=Counter)
    forgotten: list[Hole] = field(default_factory=list)

    def extend(self, first: int, count: int, ts_first: int, ts_last: int) -> bool:
        """Take `count` sequences if they follow on the newest; else change nothing."""
        if not self.ranges:
            self.ranges.append([first, first + count - 1, ts_first, ts_last])
            return True
        tail = self.ranges[-1]
        if first != tail[1] + 1:
            return False
        tail[1] += count
        tail[3] = ts_last
        return True

    def add(self, sequence: int, ts: int) -> int:
        """Take one sequence and say whether it is new."""
        verdict = self.look(sequence)
        if verdict == Verdict.FRESH:
            self.insert(sequence, ts)
        return verdict

    def look(self, sequence: int) -> int:
        """Whether a sequence was seen; below the floor only the store knows."""
        if sequence <= self.floor:
            return Verdict.UNSURE
        at = bisect_right(self.ranges, sequence, key=_first) - 1
        if at >= 0 and sequence <= self.ranges[at][1]:
            return Verdict.SEEN
        return Verdict.FRESH

    def insert(self, sequence: int, ts: int) -> None:
        """Take a sequence that is in no range."""
        at = bisect_right(self.ranges, sequence, key=_first)
        left = self.ranges[at - 1] if at else None
        right = self.ranges[at] if at < len(self.ranges) else None
        if left and right:
            self.changes[_hole(left, right)] -= 1
        mine = [sequence, sequence, ts, ts]
        if left and left[1] == sequence - 1:
            left[1], left[3] = sequence, ts
            mine = left
        else:
            self.ranges.insert(at, mine)
            at += 1
            if left:
                self.changes[_hole(left, mine)] += 1
        if right and right[0] == sequence + 1:
            mine[1], mine[3] = right[1], right[3]
            del self.ranges[at]
        elif right:
            self.changes[_hole(mine, right)] += 1
        if len(self.ranges) > MAX_RANGES:
            self._forget()

    def _forget(self) -> None:
        oldest, following = self.ranges[0], self.ranges[1]
        self.forgotten.append(_hole(oldest, following))
        self.floor = max(self.floor, following[0] - 1)
        del self.ranges[0]

    def holes(self) -> list[Hole]:
        """Everything missing between the oldest and the newest range."""
        return [
            _hole(left, right) for left, right in zip(self.ranges, self.ranges[1:], strict=False)
        ]


def _first(span: list[int]) -> int:
    return span[0]


def _hole(left: list[int], right: list[int]) -> Hole:
    return Hole(left[1] + 1, right[0] - 1, left[3], right[2])


@dataclass(slots=True)
class RecentIds:
    """The newest ids by arrival. Above `floor_ts` an id that is not among them is new."""

    order: deque[tuple[str, int]] = field(default_factory=deque)
    known: set[str] = field(default_factory=set)
    floor_ts: int = -1

    def look(self, trade_id: str, ts: int) -> int:
        """Whether an id was seen; at or below the floor only the store knows."""
        if trade_id in self.known:
            return Verdict.SEEN
        return Verdict.UNSURE if ts <= self.floor_ts else Verdict.FRESH

    def insert(self, trade_id: str, ts: int) -> None:
        """Remember an id, and let the oldest go where there are too many."""
        self.order.append((trade_id, ts))
        self.known.add(trade_id)
        if len(self.order) > MAX_RECENT:
            gone, gone_ts = self.order.popleft()
            self.known.discard(gone)
            self.floor_ts = max(self.floor_ts, gone_ts)
