"""Round times: where little happens, what happens is gathered until one, by all at once.

A process that wakes for a single event pays for cold caches, not for the event. All take the same
clock's round times, so that a quiet market's events travel together through one request a hop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

__all__ = ["GATHERED_BYTES", "ROUND_S", "FetchWait", "Traffic", "to_round_s"]

ROUND_S, GATHERED_BYTES = 0.5, 16_384
"""A busy log fills this in milliseconds, a quiet one is written and read twice a second."""


def to_round_s(now_s: float, round_s: float, offset_s: float = 0.0) -> float:
    """Seconds until the next multiple of `round_s`, moved by `offset_s`."""
    return round_s - (now_s - offset_s) % round_s


class FetchWait:
    """A fetch's longest wait in milliseconds, up to a round time; stands where aiokafka wants an
    integer, so that each request gets its own.
    """

    def __init__(
        self, round_s: float, offset_s: float, now_s: Callable[[], float] = time.time
    ) -> None:
        self._round_s = round_s
        self._offset_s = offset_s
        self._now_s = now_s

    def __index__(self) -> int:
        return math.ceil(1000 * to_round_s(self._now_s(), self._round_s, self._offset_s))


class Traffic:
    """Whether so much is written that nobody should wait for more: `busy` in this round or
    in the one before.
    """

    def __init__(self, round_s: float, busy: int) -> None:
        self._round_s = round_s
        self._busy = busy
        self._round = 0
        self._amount = 0
        self._was_busy = False

    def take(self, size: int, now_s: float) -> bool:
        """Count what is written at `now_s`; whether traffic is busy."""
        current = int(now_s / self._round_s)
        if current != self._round:
            self._was_busy = current == self._round + 1 and self._amount >= self._busy
            self._round, self._amount = current, 0
        self._amount += size
        return self._was_busy or self._amount >= self._busy
