"""Who listens to the recorded streams, and whether the play may start or must wait for somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from teleglas_sim.server.feed import FrameSink

__all__ = ["Audience"]


class Audience:
    """Follows subscriptions to recorded streams over all venues.

    The play starts when `wait_for` streams are subscribed; without it when nobody has subscribed to
    a further stream for `settle_s`, so that a client that asks in steps misses nothing. With
    `pause_when_alone`, streams that a lost connection leaves without a listener hold the play until
    each has one again.
    """

    def __init__(
        self,
        clock_s: Callable[[], float],
        *,
        wait_for: int | None,
        settle_s: float,
        pause_when_alone: bool,
    ) -> None:
        self._clock_s = clock_s
        self._wait_for = wait_for
        self._settle_s = settle_s
        self._pause_when_alone = pause_when_alone
        self._listeners: dict[int, list[FrameSink]] = {}
        self._sinks: dict[FrameSink, int] = {}
        self._orphans: set[int] = set()
        self._last_join_s = 0.0
        self._changed = asyncio.Event()

    @property
    def sinks(self) -> Collection[FrameSink]:
        """Every client of at least one recorded stream."""
        return self._sinks.keys()

    @property
    def orphans(self) -> frozenset[int]:
        """Streams that lost their listener; the play waits for them."""
        return frozenset(self._orphans)

    def count(self, stream_id: int) -> int:
        return len(self._listeners.get(stream_id, ()))

    @property
    def subscribed(self) -> int:
        """How many recorded streams have a listener."""
        return len(self._listeners)

    def join(self, stream_id: int, sink: FrameSink) -> None:
        self._listeners.setdefault(stream_id, []).append(sink)
        self._sinks[sink] = self._sinks.get(sink, 0) + 1
        self._orphans.discard(stream_id)
        self._last_join_s = self._clock_s()
        self._changed.set()

    def leave(self, stream_id: int, sink: FrameSink) -> None:
        """Unknown pairs are no error. A sink that is closed has lost its connection."""
        listeners = self._listeners.get(stream_id, [])
        if sink not in listeners:
            return
        listeners.remove(sink)
        self._sinks[sink] -= 1
        if not self._sinks[sink]:
            del self._sinks[sink]
        if not listeners:
            del self._listeners[stream_id]
            if sink.closed and self._pause_when_alone:
                self._orphans.add(stream_id)
        self._changed.set()

    async def ready(self) -> None:
        """Wait until the play may start."""
        while (missing_s := self._missing_s()) != 0.0:
            await self._change(missing_s)

    async def complete(self) -> None:
        """Wait until no stream has lost its listener."""
        while self._orphans:
            await self._change(None)

    def _missing_s(self) -> float | None:
        """Seconds until the start if nothing changes, None if only a subscription brings it."""
        if self._wait_for is not None:
            return 0.0 if self.subscribed >= self._wait_for else None
        if not self._listeners:
            return None
        return max(0.0, self._last_join_s + self._settle_s - self._clock_s())

    async def _change(self, timeout_s: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
