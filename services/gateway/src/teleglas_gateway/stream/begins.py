"""Where the log begins, asked once for all who resume at about the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from teleglas_common.bus.ports import Bus, TopicPartition

__all__ = ["Begins"]

KEEP_S = 2.0
"""Retention moves slowly, and a reader that starts too early sees for itself what is gone."""


class Begins:
    """Begin offsets of a topic, at most `KEEP_S` old. Whoever asks meanwhile shares the answer;
    a failure is shared by those that wait for it, then the next one asks again.
    """

    def __init__(self, bus: Bus, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._monotonic_s = monotonic_s
        self._asked: dict[str, tuple[float, asyncio.Task[Mapping[TopicPartition, int]]]] = {}

    async def of(self, topic: str) -> Mapping[TopicPartition, int]:
        """Raises BusError."""
        now_s = self._monotonic_s()
        known = self._asked.get(topic)
        if known is None or self._is_over(*known, now_s):
            known = self._asked[topic] = (now_s, asyncio.create_task(self._ask(topic)))
            known[1].add_done_callback(_heard)
        # one client that leaves must not take the answer from the others
        return await asyncio.shield(known[1])

    def _is_over(
        self, asked_s: float, task: asyncio.Task[Mapping[TopicPartition, int]], now_s: float
    ) -> bool:
        if not task.done():
            return False
        failed = task.cancelled() or task.exception() is not None
        return failed or now_s - asked_s > KEEP_S

    async def _ask(self, topic: str) -> Mapping[TopicPartition, int]:
        return await self._bus.begins([topic])


def _heard(task: asyncio.Task[Mapping[TopicPartition, int]]) -> None:
    """Whoever asked may be gone when it fails."""
    if not task.cancelled():
        task.exception()
