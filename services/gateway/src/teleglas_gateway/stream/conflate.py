"""Subscriptions that want a state at most every so often, grouped so that each state is encoded
once a group.
"""

from __future__ import annotations

import asyncio

from teleglas_gateway.stream.outbox import Outbox
from teleglas_gateway.stream.subject import Subject
from teleglas_gateway.stream.wire import Wire

__all__ = ["ConflateGroup", "Conflator"]

STEP_MS = 50


class ConflateGroup:
    """Listeners of one wire format and one period."""

    __slots__ = ("_dirty", "_members", "_wire")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._members: dict[Subject, dict[Outbox, None]] = {}
        self._dirty: dict[Subject, None] = {}

    @property
    def is_empty(self) -> bool:
        return not self._members

    def mark(self, subject: Subject) -> None:
        self._dirty[subject] = None

    def add(self, subject: Subject, outbox: Outbox) -> None:
        self._members.setdefault(subject, {})[outbox] = None
        subject.groups[self] = None

    def remove(self, subject: Subject, outbox: Outbox) -> None:
        outboxes = self._members.get(subject)
        if outboxes is None:
            return
        outboxes.pop(outbox, None)
        if not outboxes:
            del self._members[subject]
            subject.groups.pop(self, None)
            self._dirty.pop(subject, None)

    def flush(self) -> None:
        """Write the newest state of each subject that changed."""
        dirty, self._dirty = self._dirty, {}
        for subject in dirty:
            event = subject.view()
            if event is not None and (frame := event.frame(self._wire)) is not None:
                for outbox in list(self._members.get(subject, ())):
                    outbox.push(frame, event.run)


class Conflator:
    """Makes groups and flushes each at its own period, rounded up to 50 ms."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Wire, int], ConflateGroup] = {}
        self._tasks: dict[tuple[Wire, int], asyncio.Task[None]] = {}

    def join(self, wire: Wire, conflate_ms: int, subject: Subject, outbox: Outbox) -> ConflateGroup:
        period_ms = -(-conflate_ms // STEP_MS) * STEP_MS
        key = (wire, period_ms)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = ConflateGroup(wire)
            self._tasks[key] = asyncio.create_task(self._run(key, group, period_ms / 1000))
        group.add(subject, outbox)
        return group

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._groups.clear()
        self._tasks.clear()

    async def _run(self, key: tuple[Wire, int], group: ConflateGroup, period_s: float) -> None:
        while not group.is_empty:
            await asyncio.sleep(period_s)
            group.flush()
        self._groups.pop(key, None)
        self._tasks.pop(key, None)
