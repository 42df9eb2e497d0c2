"""Time as a port: what reads the clock can be tested without waiting for it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Wall time, elapsed time and waiting."""

    def now_ns(self) -> int:
        """Wall time, ns UTC."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves when a test says so; sleepers wake when their time has come."""

    def __init__(self, now_ns: int = 1_735_689_600_000_000_000) -> None:
        self._now_ns = now_ns
        self._elapsed_s = 0.0
        self._moved = asyncio.Condition()

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_s(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        due_s = self._elapsed_s + seconds
        async with self._moved:
            await self._moved.wait_for(lambda: self._elapsed_s >= due_s)

    async def advance(self, seconds: float) -> None:
        """Move on and let everyone who is due run."""
        async with self._moved:
            self._now_ns += round(seconds * 1e9)
            self._elapsed_s += seconds
            self._moved.notify_all()
        for _ in range(10):
            await asyncio.sleep(0)
