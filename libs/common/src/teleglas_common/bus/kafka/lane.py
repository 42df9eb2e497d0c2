"""What waits to be sent to one partition."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from teleglas_common.bus.ports import Outgoing

__all__ = ["Lane"]


class Lane:
    """Records of one partition in order: those that wait, and counts of all taken and delivered."""

    __slots__ = ("delivered", "order", "outstanding", "partition", "taken", "topic", "waiting")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.waiting: deque[Outgoing] = deque()
        self.taken = 0
        self.delivered = 0
        self.outstanding = 0
        """Batches on their way."""
        self.order = asyncio.Lock()
        """Held while a batch is handed over, so that no later one overtakes it."""

    def fill(self, batch: Any, timestamp_ms: int) -> tuple[int, int]:
        """Move as many records as fit into an aiokafka batch; return their count and bytes."""
        waiting = self.waiting
        append = batch.append
        count = size = 0
        while waiting:
            record = waiting[0]
            taken = append(
                timestamp=timestamp_ms,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
            )
            if taken is None:
                break
            waiting.popleft()
            count += 1
            size += record.size_bytes
        batch.close()
        return count, size
