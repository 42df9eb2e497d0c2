"""Notices a client that stopped moving while the broker answers others.

aiokafka may hang after a broker restart: its metadata task, its fetcher or its group coordinator
dies or waits for ever, and polls just return nothing. So progress is judged from outside, by the
ends that another client sees.
"""

from __future__ import annotations

from collections.abc import Mapping

from teleglas_common.bus.ports import TopicPartition

__all__ = ["ProgressWatch"]


_PATIENCE = 6
"""A client that delivers records of other partitions has so many times longer for each."""


class ProgressWatch:
    """Pure: is told positions, log bounds and times, and says which partitions are stalled."""

    def __init__(self, stall_after_s: float) -> None:
        self._stall_after_s = stall_after_s
        self._moved: dict[TopicPartition, tuple[int, float]] = {}
        self._last_move_s = float("-inf")

    def reset(self) -> None:
        self._moved.clear()
        self._last_move_s = float("-inf")

    def stalled(
        self,
        positions: Mapping[TopicPartition, int],
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        now_s: float,
    ) -> list[TopicPartition]:
        """Partitions with records to read whose position has not moved for the stall time.

        `positions` holds only partitions that are being read: a paused one is never stalled.
        """
        for partition in self._moved.keys() - positions.keys():
            del self._moved[partition]
        if any(positions[p] != self._moved[p][0] for p in positions.keys() & self._moved.keys()):
            self._last_move_s = now_s
        alive = now_s - self._last_move_s < self._stall_after_s
        limit_s = self._stall_after_s * (_PATIENCE if alive else 1)
        stalled: list[TopicPartition] = []
        for partition, position in positions.items():
            held = max(position, begins.get(partition, 0))
            last, since_s = self._moved.get(partition, (-1, now_s))
            if held >= ends.get(partition, 0) or position != last:
                self._moved[partition] = (position, now_s)
            elif now_s - since_s >= limit_s:
                stalled.append(partition)
        return stalled
