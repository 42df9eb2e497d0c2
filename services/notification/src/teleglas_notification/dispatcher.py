"""Takes what is due from the outbox and sends it: a few workers for each channel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import asyncpg

from teleglas_common.clock import Clock
from teleglas_notification.adapters.outbox import EDITED, FAILED, SENT, Outbox
from teleglas_notification.counts import Counts
from teleglas_notification.ports import Job, Outcome
from teleglas_notification.sending import Sender

__all__ = ["Dispatcher"]

SECOND_NS = 1_000_000_000
STOP_WITHIN_S = 1.0
"""A pause of an hour must not hold up the end of the process."""
SETTLE_AGAIN_S = (0.05, 0.2, 0.5, 1.0)
LOOK_S = 5.0
"""Other replicas' messages are looked for this often."""
STATUS_NAMES = {SENT: "sent", EDITED: "edited", FAILED: "failed"}


class Dispatcher:
    """All of one channel. `settled` is called when a delivery may have changed."""

    def __init__(
        self,
        outbox: Outbox,
        sender: Sender,
        clock: Clock,
        counts: Counts,
        *,
        workers: int,
        settled: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._clock = clock
        self._counts = counts
        self._workers = workers
        self._settled = settled
        self._woken = asyncio.Event()
        self._stopping = False
        self._working = 0

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the calls under way and return from `run`."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Send until stopped. What is due goes out by at most `workers` calls at a time."""
        while not self._stopping:
            self._woken.clear()
            async with asyncio.TaskGroup() as group:
                self._working = 1
                group.create_task(self._work(group))
            await self._measure()
            if not self._stopping:
                await self._rest()

    async def _work(self, group: asyncio.TaskGroup) -> None:
        """Send until nothing is due. Whoever finds work calls for help first, so that an idle
        channel asks the database once, not once for each worker.
        """
        try:
            while not self._stopping:
                wait_s = self._sender.limiter.wait_s()
                if wait_s > 0:
                    await self._clock.sleep(min(wait_s, STOP_WITHIN_S))
                    continue
                job = await self._outbox.take(self._sender.channel.name)
                if job is None:
                    return
                self._sender.limiter.took()
                if self._working < self._workers:
                    self._working += 1
                    group.create_task(self._work(group))
                await self._finish(job)
        finally:
            self._working -= 1

    async def _finish(self, job: Job) -> None:
        outcome = await self._sender.send(job)
        moved = await self._settle(job, outcome)
        for status, count in moved:
            self._counts.delivered(self._sender.channel.name, STATUS_NAMES[status], count)
        self._settled()

    async def _settle(self, job: Job, outcome: Outcome) -> list[tuple[int, int]]:
        """The call has been made: were its outcome lost to a deadlock, the chat would wait for the
        end of its lease, and then be told again. Only what certainly was not written is repeated:
        after another failure the chat may be another call's already.
        """
        for wait_s in SETTLE_AGAIN_S:
            try:
                return await self._outbox.settle(job, outcome)
            except asyncpg.TransactionRollbackError:
                await self._clock.sleep(wait_s)
        return await self._outbox.settle(job, outcome)

    async def _measure(self) -> None:
        channel = self._sender.channel.name
        depth, oldest_ns = await self._outbox.standing(channel)
        self._counts.outbox(channel, depth, oldest_ns, self._clock.now_ns())

    async def _rest(self) -> None:
        """Wait until the next chat is due, somebody wakes us, or it is time to look again."""
        due_ns = await self._outbox.next_due_ns(self._sender.channel.name)
        wait_s = LOOK_S
        if due_ns is not None:
            wait_s = min(LOOK_S, max(0.01, (due_ns - self._clock.now_ns()) / SECOND_NS))
        sleeping = asyncio.create_task(self._clock.sleep(wait_s))
        waking = asyncio.create_task(self._woken.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeping, waking):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
