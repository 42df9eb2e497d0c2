"""Parts that services on the bus and PostgreSQL are made of. An `app.py` puts them in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import asyncpg

from teleglas_common.bus.ports import Bus, Shard
from teleglas_common.bus.worker import Worker
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.replica import ReplicaReads, Rows
from teleglas_common.settings import PostgresSection
from teleglas_contracts.topics import CONTROL_TOPICS_V1

__all__ = ["Database", "Periodic", "Shards", "reaching", "standing_on"]

S = TypeVar("S", bound=Shard)


class Database:
    """The pool of `service`, with `schema` brought up to date."""

    def __init__(
        self, section: PostgresSection, service: str, schema: str, migrations: Path
    ) -> None:
        self._section = section
        self._application = f"teleglas-{service}"
        self._schema = schema
        self._migrations = migrations
        self._pool: asyncpg.Pool[Any] | None = None
        self._replica: asyncpg.Pool[Any] | None = None
        self._reads: ReplicaReads | None = None
        self._measuring: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._pool = await create_pool(self._section, self._application)
        await migrate(self._pool, self._schema, migrations_in(self._migrations))
        replica_dsn = self._section.replica_dsn.get_secret_value()
        if replica_dsn:
            self._replica = await create_pool(
                self._section, self._application, dsn=replica_dsn, min_size=0
            )
            self._reads = ReplicaReads(
                self._pool, self._replica, max_lag_s=self._section.replica_max_lag_s
            )
            self._measuring = asyncio.create_task(self._reads.run(), name="replica lag")

    async def stop(self) -> None:
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.wait({self._measuring})
        for pool in (self._replica, self._pool):
            if pool is not None:
                await pool.close()

    @property
    def reads(self) -> Rows:
        """For history, which may be a little old: the replica if there is one."""
        return self._reads or self.pool

    @property
    def pool(self) -> asyncpg.Pool[Any]:
        if self._pool is None:
            raise RuntimeError("expected a started database")
        return self._pool

    async def check(self) -> str | None:
        await self.pool.fetchval("SELECT 1")
        return None


class Shards(Generic[S]):
    """A worker, made once the parts before it have started."""

    def __init__(self, make: Callable[[], Worker[S]]) -> None:
        self._make = make
        self._worker: Worker[S] | None = None
        self._over = asyncio.Event()

    async def start(self) -> None:
        self._worker = self._make()

    async def run(self) -> None:
        if self._worker is None:
            raise RuntimeError("expected a started worker")
        try:
            await self._worker.run()
        finally:
            self._over.set()

    async def stop(self) -> None:
        """Finish what is under way and store it."""
        if self._worker is not None:
            self._worker.stop()
            await self._over.wait()

    async def check(self) -> str | None:
        ready = self._worker is not None and self._worker.is_ready
        return None if ready else "shards are being restored"


class Periodic:
    """Work that is due every `every_s`, first after that long; none begins once it is stopped."""

    def __init__(self, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        self._every_s = every_s
        self._work = work
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Nothing to open."""

    async def run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._every_s)
            if not self._stopping.is_set():
                await self._work()

    async def stop(self) -> None:
        self._stopping.set()


def reaching(bus: Bus) -> Callable[[], Awaitable[object]]:
    """Asks the log for the end of its smallest topic; raises when there is no answer."""

    async def ask() -> object:
        return await bus.ends([CONTROL_TOPICS_V1.name])

    return ask


def standing_on(bus: Bus, database: Database) -> dict[str, Callable[[], Awaitable[object]]]:
    """What a service with a database stands on, by name, for its `Watch`."""
    return {"kafka": reaching(bus), "postgres": database.check}
