"""What the database does to a call that has been made."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import asyncpg

from teleglas_common.clock import SystemClock
from teleglas_notification.dispatcher import Dispatcher
from teleglas_notification.ports import Outcome


class DeadlockedOutbox:
    """One job, whose outcome cannot be written the first time."""

    def __init__(self) -> None:
        self.jobs: list[Any] = [SimpleNamespace()]
        self.settled: list[Outcome] = []
        self._failures = 1

    async def take(self, _: str) -> Any:
        return self.jobs.pop() if self.jobs else None

    async def settle(self, _: Any, outcome: Outcome) -> list[tuple[int, int]]:
        if self._failures:
            self._failures -= 1
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        self.settled.append(outcome)
        return []

    async def standing(self, _: str) -> tuple[int, int | None]:
        return 0, None

    async def next_due_ns(self, _: str) -> int | None:
        return None


class OnceSender:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.channel = SimpleNamespace(name="telegram")
        self.limiter = SimpleNamespace(wait_s=lambda: 0.0, took=lambda: None)

    async def send(self, _: Any) -> Outcome:
        self.calls += 1
        return Outcome("sent", "1")


async def test_an_outcome_is_written_though_the_database_failed_in_passing() -> None:
    outbox: Any = DeadlockedOutbox()
    sender: Any = OnceSender()
    counts: Any = SimpleNamespace(outbox=lambda *_: None)
    dispatcher: Dispatcher

    def settled() -> None:
        dispatcher.stop()

    dispatcher = Dispatcher(outbox, sender, SystemClock(), counts, workers=1, settled=settled)
    await asyncio.wait_for(dispatcher.run(), 10)
    assert sender.calls == 1
    assert [outcome.status for outcome in outbox.settled] == ["sent"]
