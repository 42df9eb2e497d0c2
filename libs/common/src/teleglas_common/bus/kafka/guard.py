"""Runs the progress watch beside a client that is being polled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from teleglas_common.bus.kafka.admin import KafkaAdmin
from teleglas_common.bus.kafka.watch import ProgressWatch
from teleglas_common.bus.ports import BusError, TopicPartition

__all__ = ["StallGuard"]


class StallGuard:
    """Sets `verdict` when a polled client stands still although the broker has records for it.

    `answers` gives the ends that the client itself was told within some seconds: while it hears
    from the broker and either moves or stands at the end, nobody else need be asked.
    """

    def __init__(
        self,
        admin: KafkaAdmin,
        topics: Sequence[str],
        stall_after_s: float,
        positions: Callable[[], Mapping[TopicPartition, int]],
        answers: Callable[[float], Mapping[TopicPartition, int]],
    ) -> None:
        self.verdict: str | None = None
        self._admin = admin
        self._topics = tuple(topics)
        self._interval_s = stall_after_s / 2
        self._positions = positions
        self._answers = answers
        self._looked: Mapping[TopicPartition, int] = {}
        self._watch = ProgressWatch(stall_after_s)
        self._polled_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def polled(self) -> None:
        """Somebody asks for records: only then may their absence mean something."""
        self._polled_s = asyncio.get_running_loop().time()

    def reset(self) -> None:
        """The client is new."""
        self.verdict = None
        self._watch.reset()

    async def stop(self) -> None:
        while self._task is not None and not self._task.done():
            # Once is not enough: `wait_for` loses a cancellation that comes with its answer.
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1.0)

    def _is_up_to_date(self, positions: Mapping[TopicPartition, int]) -> bool:
        before, self._looked = self._looked, dict(positions)
        ends = self._answers(self._interval_s)
        return all(
            partition in ends
            and (position >= ends[partition] or position > before.get(partition, position))
            for partition, position in positions.items()
        )

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._interval_s)
            positions = self._positions()
            if not positions or loop.time() - self._polled_s > self._interval_s:
                self._watch.reset()
                continue
            if self._is_up_to_date(positions):
                self._watch.reset()
                continue
            try:
                begins, ends = await self._admin.offsets(self._topics)
            except BusError:
                self._watch.reset()
                continue
            positions = self._positions()
            stalled = self._watch.stalled(positions, begins, ends, loop.time())
            if stalled:
                at = stalled[0]
                self.verdict = (
                    f"{len(stalled)} partitions stand still, {at} at {positions[at]} of {ends[at]}"
                )
