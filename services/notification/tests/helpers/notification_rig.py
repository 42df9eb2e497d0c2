"""The service's parts on a real database, with a Bot API server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
from notification_samples import card
from pydantic import SecretStr

from teleglas_common.clock import Clock, SystemClock
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.settings import PostgresSection
from teleglas_common.telemetry import Metrics
from teleglas_notification.adapters.directory import put_rule, put_subscriber
from teleglas_notification.adapters.outbox import Outbox
from teleglas_notification.adapters.store import PostgresStore
from teleglas_notification.app import MIGRATIONS
from teleglas_notification.channels.bot_api import telegram_bot
from teleglas_notification.channels.telegram import TelegramChannel
from teleglas_notification.counts import Counts
from teleglas_notification.dispatcher import Dispatcher
from teleglas_notification.domain.cards import Card
from teleglas_notification.domain.people import Subscriber
from teleglas_notification.domain.rules import Rule
from teleglas_notification.limits import Limiter
from teleglas_notification.ports import SCHEMA, Channel, Checkpoint, OutboxCard, Wanted
from teleglas_notification.sending import RetryPolicy, Sender
from teleglas_sim.botapi.server import BotApiServer

__all__ = ["FAST", "TOKEN", "FastClock", "Rig", "opened", "telegram_on"]

TOKEN = "110201543:a-token-that-only-tests-know"
FAST = RetryPolicy(tries=400, first_s=0.5, max_s=8.0, max_unconfirmed=50)


class FastClock:
    """Wall time that runs `factor` times as fast, so that waits of minutes are over in seconds."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._clock = SystemClock()
        self._began_ns = self._clock.now_ns()
        self._began_s = self._clock.monotonic_s()

    def now_ns(self) -> int:
        passed_ns = self._clock.now_ns() - self._began_ns
        return self._began_ns + round(passed_ns * self._factor)

    def monotonic_s(self) -> float:
        return (self._clock.monotonic_s() - self._began_s) * self._factor

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._factor)


@dataclass
class Rig:
    """A database with the schema, and the parts that stand on it."""

    pool: asyncpg.Pool[Any]
    clock: Clock = field(default_factory=SystemClock)
    metrics: Metrics = field(default_factory=Metrics)
    chat_gap_s: float = 1.05
    per_second: float = 25.0
    generation: int = 0

    async def subscribe(self, chat: int = 1001, **changes: Any) -> Subscriber:
        """A subscriber of everything."""
        one = replace(
            Subscriber("default", f"chat-{chat}", "telegram", str(chat), budget_per_hour=10_000),
            **changes,
        )
        async with self.pool.acquire() as connection, connection.transaction():
            await put_subscriber(connection, one)
            await put_rule(connection, Rule("default", f"{one.id}-all", one.id))
        return one

    async def tell(self, cards: list[Card], who: list[Subscriber]) -> None:
        """A checkpoint of shard 0 that tells these people of these events."""
        store = PostgresStore(self.pool, self.clock, 0)
        if not self.generation:
            self.generation = (await store.restore(0)).generation
        wanted = tuple(Wanted(Rule("default", f"{s.id}-all", s.id), s.channel) for s in who)
        out = [OutboxCard(one, "", wanted) for one in cards]
        await store.save(Checkpoint(0, self.generation, {}, {}, cards=out))

    async def tell_numbers(self, numbers: range, who: list[Subscriber]) -> None:
        """The events of these numbers."""
        await self.tell([card(number) for number in numbers], who)

    def outbox(self, owner: str = "tests", lease_s: float = 60.0) -> Outbox:
        return Outbox(self.pool, self.clock, owner, lease_s=lease_s, chat_gap_s=self.chat_gap_s)

    def dispatcher(
        self, channel: Channel, *, policy: RetryPolicy = FAST, workers: int = 4
    ) -> Dispatcher:
        counts = Counts(self.metrics)
        limiter = Limiter(self.clock, self.per_second)
        sender = Sender(channel, limiter, None, policy, self.clock, counts)
        return Dispatcher(
            self.outbox(), sender, self.clock, counts, workers=workers, settled=lambda: None
        )

    async def statuses(self) -> dict[int, int]:
        """How many deliveries have which status."""
        rows = await self.pool.fetch(
            "SELECT status, count(*) AS n FROM notification.deliveries GROUP BY status"
        )
        return {row["status"]: row["n"] for row in rows}

    def counted(self, name: str, *labels: str) -> float:
        return float(self.metrics.counter(name, *labels)._value.get())


@asynccontextmanager
async def opened(dsn: str, **changes: Any) -> AsyncIterator[Rig]:
    """A rig on an empty database."""
    section = PostgresSection(dsn=SecretStr(dsn), pool_size=4)
    pool = await create_pool(section, "tests")
    try:
        await migrate(pool, SCHEMA, migrations_in(MIGRATIONS))
        yield Rig(pool, **changes)
    finally:
        await pool.close()


@asynccontextmanager
async def telegram_on(
    server: BotApiServer, timeout_s: float = 5.0
) -> AsyncIterator[TelegramChannel]:
    """The Telegram channel against a server of ours."""
    bot = telegram_bot(TOKEN, server.url, timeout_s)
    channel = TelegramChannel(bot, TOKEN, timeout_s)
    try:
        yield channel
    finally:
        await channel.stop()
