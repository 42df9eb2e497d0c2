"""The composition root: what market-data is made of, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median_low
from typing import Any

import asyncpg

from teleglas.market.v1.service_pb2 import DESCRIPTOR
from teleglas.market.v1.service_pb2_grpc import add_MarketDataServicer_to_server
from teleglas_common.bus.ports import Bus, Publisher
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.health import Health
from teleglas_common.health_server import HealthServer
from teleglas_common.kafka import create_bus
from teleglas_common.lifecycle import Component
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.principal import authenticator, signer_of
from teleglas_common.redis import create_redis
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_market_data.adapters.grpc_service import ERRORS, MarketDataService
from teleglas_market_data.adapters.pieces import TimePieces
from teleglas_market_data.adapters.queries import Queries
from teleglas_market_data.adapters.redis_latest import RedisLatest
from teleglas_market_data.adapters.requests import Symbols
from teleglas_market_data.adapters.store import PostgresStore
from teleglas_market_data.counts import Counts
from teleglas_market_data.live import Live
from teleglas_market_data.ports import SCHEMA
from teleglas_market_data.routes import GROUP, ROUTES
from teleglas_market_data.settings import Settings
from teleglas_market_data.shard import MarketShard, Tools

__all__ = ["SERVICE", "Database", "MarketDataApp", "build_app", "common_frontier"]

SERVICE = "market-data"
MIGRATIONS = Path(__file__).parents[2] / "migrations"
CLEAN_EVERY_S = 600.0


class Database:
    """The pool, with the schema brought up to date."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool[Any] | None = None
        self._pieces: TimePieces | None = None

    async def start(self) -> None:
        pool = await create_pool(self._settings.postgres, f"teleglas-{SERVICE}")
        self._pool = pool
        await migrate(pool, SCHEMA, migrations_in(MIGRATIONS))
        self._pieces = TimePieces(pool)
        await self._pieces.load()

    async def stop(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    @property
    def pool(self) -> asyncpg.Pool[Any]:
        if self._pool is None:
            raise RuntimeError("expected a started database")
        return self._pool

    @property
    def pieces(self) -> TimePieces:
        if self._pieces is None:
            raise RuntimeError("expected a started database")
        return self._pieces

    async def check(self) -> str | None:
        await self.pool.fetchval("SELECT 1")
        return None


class Shards:
    """The worker over all routes."""

    def __init__(
        self,
        settings: Settings,
        bus: Bus,
        publisher: Publisher,
        database: Database,
        latest: RedisLatest,
        live: Live,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._publisher = publisher
        self._database = database
        self._latest = latest
        self._live = live
        self._metrics = metrics
        self._worker: Worker[MarketShard] | None = None
        self._over = asyncio.Event()

    async def start(self) -> None:
        tools = Tools(
            PostgresStore(self._database.pool, self._database.pieces),
            self._publisher,
            self._latest,
            self._live,
            SystemClock(),
            Counts(self._metrics),
            self._settings.late_bound_ns,
            self._settings.composite.definition(),
            self._settings.summary_every_ns,
        )
        self._worker = Worker(
            self._bus,
            ROUTES,
            group=GROUP,
            shard_factory=lambda number: MarketShard(number, tools),
            publisher=self._publisher,
            service=SERVICE,
            settings=WorkerSettings(
                checkpoint_interval_s=self._settings.candles.checkpoint_every_s,
                checkpoint_records=2_000,
            ),
            metrics=BusMetrics(self._metrics),
        )

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


class Cleaner:
    """Drops old pieces of tables, by the event time that most markets here have come to."""

    def __init__(self, database: Database, live: Live) -> None:
        self._database = database
        self._live = live
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Nothing to open."""

    async def run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), CLEAN_EVERY_S)
            now = common_frontier(self._live.frontier(m) for m in self._live.markets())
            if now and not self._stopping.is_set():
                await self._database.pieces.drop_older(now)

    async def stop(self) -> None:
        self._stopping.set()


def common_frontier(frontiers: Iterable[int]) -> int:
    """The time that at least half of the markets with closed candles have reached, 0 without any:
    one venue's wrong clock drops nobody's data, and one that is gone keeps nobody's.
    """
    known = [frontier for frontier in frontiers if frontier > 0]
    return median_low(known) if known else 0


class Queried:
    """The gRPC server, made once the database is there."""

    def __init__(
        self, settings: Settings, database: Database, live: Live, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._database = database
        self._live = live
        self._metrics = metrics
        self._server: GrpcServer | None = None

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("expected a started server")
        return self._server.port

    async def start(self) -> None:
        settings = self._settings
        signer = signer_of(settings.principal_secret)
        service = MarketDataService(
            Queries(self._database.pool),
            self._live,
            Symbols(settings.candles.default_quote),
            authenticator(signer, required=settings.require_principal),
            settings.grpc.default_deadline_s,
        )
        self._server = GrpcServer(
            settings.grpc,
            [lambda server: add_MarketDataServicer_to_server(service, server)],
            [DESCRIPTOR.services_by_name["MarketData"].full_name],
            metrics=self._metrics,
            errors=ERRORS,
        )
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()


class MarketDataApp:
    """Starts database, cache, publisher, shards, gRPC and health in this order."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        metrics = Metrics.of(SERVICE)
        live = Live()
        publisher = MeasuredPublisher(bus.publisher(), metrics)
        self.database = Database(settings)
        latest = RedisLatest(create_redis(settings.redis))
        self.shards = Shards(settings, bus, publisher, self.database, latest, live, metrics)
        self.grpc = Queried(settings, self.database, live, metrics)
        self.http = HealthServer(settings.http, self.health, metrics.registry)
        self.health.add("database", self.database.check)
        self.health.add("shards", self.shards.check)
        cleaner = [Cleaner(self.database, live)] if settings.candles.drop_old_data else []
        self.components: Sequence[Component] = (
            self.database,
            latest,
            publisher,
            self.grpc,
            self.shards,
            *cleaner,
            self.http,
        )


def build_app(settings: Settings) -> MarketDataApp:
    return MarketDataApp(settings, create_bus(settings.kafka, f"teleglas-{SERVICE}"))
