"""Asks for silent partitions less often than for those that speak."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer

__all__ = ["Sparing"]

SILENT_AFTER_S = 2.0
ASKED_EVERY_S = 0.2


class Sparing:
    """In busy traffic leaves partitions that brought nothing lately out of most requests.

    aiokafka names every partition in every request, and the broker looks into each: of a hundred
    partitions and fifty requests a second that is most of what both do. A silent partition is
    asked for every `ASKED_EVERY_S` still, so that its first record comes so much later at most.
    """

    def __init__(
        self,
        client: AIOKafkaConsumer,
        is_busy: Callable[[], bool],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        fetcher: Any = client._fetcher  # noqa: SLF001 - aiokafka has no call for it
        self._held: Mapping[Any, object] = fetcher._records  # noqa: SLF001
        self._actions: Callable[[Any], Any] = fetcher._get_actions_per_node  # noqa: SLF001
        fetcher._get_actions_per_node = self._choose  # noqa: SLF001
        self._is_busy = is_busy
        self._now_s = now_s
        self._spoke_s: dict[Any, float] = {}
        self._all_due_s = now_s() + SILENT_AFTER_S
        self._spares_from_s = self._all_due_s

    def spoke(self, partitions: Iterable[Any]) -> None:
        """These brought records."""
        now_s = self._now_s()
        for partition in partitions:
            self._spoke_s[partition] = now_s

    def _choose(self, assignment: Any) -> Any:
        now_s = self._now_s()
        if now_s < self._all_due_s and now_s >= self._spares_from_s and self._is_busy():
            since_s = now_s - SILENT_AFTER_S
            lively = [
                partition
                for partition in assignment.tps
                if partition in self._held or self._spoke_s.get(partition, 0.0) > since_s
            ]
            if lively:
                return self._actions(_Part(assignment, lively))
        actions = self._actions(assignment)
        if actions[0]:
            self._all_due_s = now_s + ASKED_EVERY_S
        return actions


class _Part:
    """An assignment with some of its partitions, as far as aiokafka's fetcher looks."""

    def __init__(self, assignment: Any, partitions: list[Any]) -> None:
        self.tps = partitions
        self.state_value = assignment.state_value
