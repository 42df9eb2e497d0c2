"""When a shard looks at what its feeds hold: behind the events of a round, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from teleglas_common.rounds import ROUND_S, Traffic, to_round_s

__all__ = ["EventRounds"]

BEHIND_S = 0.006
"""Behind a busy round: the publisher sends a moment later what all shards then bring."""
BUSY_EVENTS = 25
"""In a quiet market's round; fewer wait for its end, to leave together."""
EARLY_NS = 50_000_000
"""What would be due so soon after a quiet market's round leaves with it."""


class EventRounds:
    """Tell it of every event; `busy_ns` is the length of a round in busy traffic."""

    def __init__(self, wall_ns: Callable[[], int], busy_ns: int) -> None:
        self._wall_ns = wall_ns
        self._busy_ns = busy_ns
        self._came = asyncio.Event()
        self._crowd = asyncio.Event()
        """Set when so much came that it need not wait for the round's end."""
        self._brought = 0
        self._traffic = Traffic(ROUND_S, BUSY_EVENTS)

    def event(self) -> None:
        """An event came."""
        self._came.set()
        self._brought += 1
        if self._brought >= BUSY_EVENTS:
            self._crowd.set()

    async def wait(self, timeout_s: float) -> int:
        """Wait for the end of the round that the next event begins, or for `timeout_s` without any.
        Returns how far ahead of its time (ns) what the feeds hold may leave.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._came.wait()
        except TimeoutError:
            return 0
        early_ns = await self._gather()
        self._came.clear()
        return early_ns

    async def _gather(self) -> int:
        """Wait for what comes with the first event: for longer in a quiet market."""
        brought, self._brought = self._brought, 0
        self._crowd.clear()
        now_s = self._wall_ns() / 1e9
        if self._traffic.take(brought, now_s):
            await asyncio.sleep(to_round_s(now_s, self._busy_ns / 1e9, BEHIND_S))
            return self._busy_ns
        with suppress(TimeoutError):
            async with asyncio.timeout(to_round_s(now_s, ROUND_S)):
                await self._crowd.wait()
        return EARLY_NS
