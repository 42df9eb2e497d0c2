"""Dead letters of topics that no consumer group reads: the pods agree who writes each."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

import structlog

from teleglas_common.bus.dead_letter import dead_letter
from teleglas_common.bus.ports import Bus, BusError, Outgoing, PoisonError, Record
from teleglas_contracts.topic import Topic
from teleglas_gateway.ports import Claims

__all__ = ["Burials"]

_LOG = structlog.get_logger(__name__)
CONSUMER = "gateway"
PIECE = 100
"""Letters that are claimed and acknowledged together."""


class Burials:
    """Writes a dead letter for each poison record. All pods read it and its event id is the same on
    each; who claims it first writes it. While the log takes nothing letters wait, up to
    `max_bytes`; then reading waits too (`room`).
    """

    def __init__(
        self,
        bus: Bus,
        claims: Claims,
        *,
        max_bytes: int = 8 << 20,
        back_off_s: float = 1.0,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._bus = bus
        self._claims = claims
        self._max_bytes = max_bytes
        self._back_off_s = back_off_s
        self._now_ns = now_ns
        self._waiting: deque[tuple[str, Outgoing]] = deque()
        self._waiting_bytes = 0
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    def add(self, topic: Topic, record: Record, poison: PoisonError) -> None:
        """Take a poison record; call `room` before the next ones are read."""
        letter = dead_letter(topic, record, poison, consumer=CONSUMER, now_ns=self._now_ns())
        where = f"{record.topic}:{record.partition}:{record.offset}"
        self._waiting.append((where, letter))
        self._waiting_bytes += letter.size_bytes

    async def room(self) -> None:
        """Return once less than the bound waits."""
        if not self._waiting:
            return
        async with self._changed:
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._waiting_bytes < self._max_bytes)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """What was not written is found again: a pod that starts reads back its lookback."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
            try:
                await self._write_waiting()
            except BusError as error:
                _LOG.warning("dead_letters_wait", error=str(error), letters=len(self._waiting))
                await asyncio.sleep(self._back_off_s)

    async def _write_waiting(self) -> None:
        publisher = self._bus.publisher()
        await publisher.start()
        try:
            while self._waiting:
                piece = list(islice(self._waiting, PIECE))
                mine = [letter for letter in piece if await self._claims.take(letter[0])]
                for _, letter in mine:
                    await publisher.send(letter)
                await publisher.flush()
                for where, _ in mine:
                    await self._claims.keep(where)
                await self._let_go(len(piece))
        finally:
            await publisher.stop()

    async def _let_go(self, count: int) -> None:
        async with self._changed:
            for _ in range(count):
                self._waiting_bytes -= self._waiting.popleft()[1].size_bytes
            self._changed.notify_all()
