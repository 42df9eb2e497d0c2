"""Waits between attempts: exponential, capped, jittered so that many do not come at once."""

from __future__ import annotations

from random import Random

__all__ = ["Backoff"]


class Backoff:
    def __init__(self, random: Random, *, first_s: float = 0.5, most_s: float = 30.0) -> None:
        self._random = random
        self._first_s = first_s
        self._most_s = most_s
        self._failures = 0

    def failed(self) -> float:
        """Seconds to wait after one more failure: between a tenth and all of the present cap."""
        cap = min(self._most_s, self._first_s * 2 ** min(self._failures, 30))
        self._failures += 1
        return self._random.uniform(cap / 10, cap)

    def succeeded(self) -> None:
        self._failures = 0
