"""Round times: where little happens, what happens is gathered until one, by all at once.

A process that wakes for a single event pays for cold caches, not for the event. All take the same
clock's round times, so that a quiet market's events travel together through one request a hop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

__all__ = ["QUIET_BYTES", "ROUND_S", "Gathering", "Traffic", "to_round_s"]

ROUND_S, QUIET_BYTES = 0.5, 16_384
"""More in a round is busy traffic."""
BUSY_RECORDS = 100
BUSY_BYTES_A_MS = 819
"""A busy log brings more: a wait ends when so much is there for each of its milliseconds."""


def to_round_s(now_s: float, round_s: float, offset_s: float = 0.0) -> float:
    """Seconds until the next multiple of `round_s`, moved by `offset_s`."""
    return round_s - (now_s - offset_s) % round_s


class Traffic:
    """Whether so much comes that nobody should wait for more: `busy` in this round or in the one
    before, in whatever is counted.
    """

    def __init__(self, round_s: float, busy: int) -> None:
        self._round_s = round_s
        self._busy = busy
        self._round = 0
        self._amount = 0
        self._was_busy = False

    def take(self, amount: int, now_s: float) -> bool:
        """Count what came at `now_s`; whether traffic is busy."""
        current = int(now_s / self._round_s)
        if current != self._round:
            self._was_busy = current == self._round + 1 and self._amount >= self._busy
            self._round, self._amount = current, 0
        self._amount += amount
        return self._was_busy or self._amount >= self._busy


class Varying:
    """Stands where aiokafka wants an integer, and is another one in each request."""

    def __init__(self, value: Callable[[], int]) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value()


class Gathering:
    """What a follower of feeds lets the broker wait for: in busy traffic `busy_wait_ms` at most
    (None: for any byte), in a quiet market until `offset_s` behind a round time.
    """

    def __init__(
        self,
        round_s: float,
        offset_s: float,
        busy_wait_ms: int | None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._round_s = round_s
        self._offset_s = offset_s
        self._busy_wait_ms = busy_wait_ms
        self._now_s = now_s
        self._traffic = Traffic(round_s, BUSY_RECORDS)
        self.wait_ms = Varying(self._choose_wait_ms)
        self.min_bytes = Varying(self._choose_min_bytes)

    def came(self, records: int) -> None:
        """So many were fetched."""
        self._traffic.take(records, self._now_s())

    def is_busy(self) -> bool:
        return self._traffic.take(0, self._now_s())

    def _choose_wait_ms(self) -> int:
        if self._busy_wait_ms is not None and self.is_busy():
            return self._busy_wait_ms
        return math.ceil(1000 * to_round_s(self._now_s(), self._round_s, self._offset_s))

    def _choose_min_bytes(self) -> int:
        if not self.is_busy():
            return QUIET_BYTES
        return 1 if self._busy_wait_ms is None else BUSY_BYTES_A_MS * self._busy_wait_ms
