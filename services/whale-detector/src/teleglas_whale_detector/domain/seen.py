"""Lets each trade in once: sequences as ranges, other ids by the newest of them."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

__all__ = ["Seen"]

MAX_RANGES = 64
MAX_RECENT = 1_024


@dataclass(slots=True)
class Seen:
    """What came before. Below the oldest range, or where too many ids have passed, a trade counts
    as seen: it would be late anyway.
    """

    ranges: list[list[int]] = field(default_factory=list)
    recent: deque[str] = field(default_factory=deque)
    known: set[str] = field(default_factory=set)

    def is_new_sequence(self, sequence: int) -> bool:
        """Take a sequence; False where it was taken before."""
        ranges = self.ranges
        if ranges:
            tail = ranges[-1]
            if sequence == tail[1] + 1:
                tail[1] = sequence
                return True
            if sequence > tail[1]:
                ranges.append([sequence, sequence])
                if len(ranges) > MAX_RANGES:
                    del ranges[0]
                return True
            return self._fill(sequence)
        ranges.append([sequence, sequence])
        return True

    def is_new_id(self, trade_id: str) -> bool:
        """Take an id; False where it was taken before."""
        if trade_id in self.known:
            return False
        self.known.add(trade_id)
        self.recent.append(trade_id)
        if len(self.recent) > MAX_RECENT:
            self.known.discard(self.recent.popleft())
        return True

    def _fill(self, sequence: int) -> bool:
        ranges = self.ranges
        at = bisect_right(ranges, sequence, key=lambda span: span[0]) - 1
        if at < 0 or sequence <= ranges[at][1]:
            return False
        left, right = ranges[at], ranges[at + 1]
        if sequence == left[1] + 1:
            left[1] = sequence
            if right[0] == sequence + 1:
                left[1] = right[1]
                del ranges[at + 1]
        elif right[0] == sequence + 1:
            right[0] = sequence
        elif len(ranges) < MAX_RANGES:
            ranges.insert(at + 1, [sequence, sequence])
        else:
            return False
        return True
