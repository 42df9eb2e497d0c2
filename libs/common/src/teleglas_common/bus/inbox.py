"""The records of one partition number that wait for its shard, topic by topic."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from teleglas_common.bus.ports import Record

__all__ = ["Inbox"]

_RECORD_OVERHEAD_BYTES = 500


class Inbox:
    """Queues records per topic and hands them out in turns, so that no topic starves another.

    A topic is full at `max_records` or `max_bytes`: the worker then pauses its partition until
    half of it is gone. What one poll returned is always taken, so the bound is that plus one poll.
    """

    def __init__(self, topics: Sequence[str], *, max_records: int, max_bytes: int) -> None:
        self._queues: dict[str, deque[Record]] = {topic: deque() for topic in topics}
        self._bytes = dict.fromkeys(topics, 0)
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._arrived = asyncio.Event()

    def put(self, topic: str, records: Sequence[Record]) -> None:
        self._queues[topic].extend(records)
        self._bytes[topic] += sum(map(_held_bytes, records))
        self._arrived.set()

    def turns(self, max_records: int) -> Iterator[list[Record]]:
        """Take up to `max_records` of each topic that has any, once around."""
        for topic, queue in self._queues.items():
            if queue:
                taken = [queue.popleft() for _ in range(min(max_records, len(queue)))]
                self._bytes[topic] -= sum(map(_held_bytes, taken))
                yield taken

    def is_full(self, topic: str) -> bool:
        full = len(self._queues[topic]) >= self._max_records
        return full or self._bytes[topic] >= self._max_bytes

    def has_room(self, topic: str) -> bool:
        low = len(self._queues[topic]) <= self._max_records // 2
        return low and self._bytes[topic] <= self._max_bytes // 2

    def clear(self) -> None:
        for topic, queue in self._queues.items():
            queue.clear()
            self._bytes[topic] = 0

    async def wait(self, timeout_s: float) -> bool:
        """Wait for records; False after `timeout_s` without any."""
        if any(self._queues.values()):
            return True
        self._arrived.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return any(self._queues.values())

    def wake(self) -> None:
        """End a `wait` early."""
        self._arrived.set()


def _held_bytes(record: Record) -> int:
    return len(record.value or b"") + _RECORD_OVERHEAD_BYTES
