"""Keeps within a venue's rates: connects of a process, requests on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Pace"]


class Pace:
    """Lets one pass every 1/`per_s` seconds after a burst of `burst`; waiters go in order."""

    def __init__(self, per_s: float, *, burst: int, monotonic_ns: Callable[[], int]) -> None:
        self._gap_ns = int(1e9 / per_s)
        self._burst_ns = self._gap_ns * (burst - 1)
        self._monotonic_ns = monotonic_ns
        self._next_ns = 0
        self._turn = asyncio.Lock()

    async def pass_(self) -> None:
        async with self._turn:
            now_ns = self._monotonic_ns()
            self._next_ns = max(self._next_ns, now_ns - self._burst_ns)
            wait_ns = self._next_ns - now_ns
            self._next_ns += self._gap_ns
            if wait_ns > 0:
                await asyncio.sleep(wait_ns / 1e9)
