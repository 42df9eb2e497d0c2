"""The composition root: what signal-scorer is made of, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from teleglas.signal.v1.signal_pb2 import DESCRIPTOR
from teleglas.signal.v1.signal_pb2_grpc import add_SignalsServicer_to_server
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
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_signal_scorer.adapters.grpc_service import ERRORS, Limits, SignalsService
from teleglas_signal_scorer.adapters.queries import Queries
from teleglas_signal_scorer.adapters.store import PostgresStore
from teleglas_signal_scorer.adapters.weights_table import WeightsTable
from teleglas_signal_scorer.counts import Counts
from teleglas_signal_scorer.domain.layers.order_flow import WHALES
from teleglas_signal_scorer.domain.registry import NAMES
from teleglas_signal_scorer.ports import SCHEMA
from teleglas_signal_scorer.routes import GROUP, READS, ROUTES
from teleglas_signal_scorer.settings import Settings
from teleglas_signal_scorer.shard import ScorerShard, Tools

__all__ = ["MIGRATIONS", "SERVICE", "Database", "SignalScorerApp", "build_app"]

SERVICE = "signal-scorer"
MIGRATIONS = Path(__file__).parents[2] / "migrations"
CLEAN_EVERY_S = 600.0
DAY_NS = 86_400 * 1_000_000_000


class Database:
    """The pool, with the schema brought up to date and the first weights in it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool[Any] | None = None

    async def start(self) -> None:
        pool = await create_pool(self._settings.postgres, f"teleglas-{SERVICE}")
        self._pool = pool
        await migrate(pool, SCHEMA, migrations_in(MIGRATIONS))
        await WeightsTable(pool).ensure()

    async def stop(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    @property
    def pool(self) -> asyncpg.Pool[Any]:
        if self._pool is None:
            raise RuntimeError("expected a started database")
        return self._pool

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
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._publisher = publisher
        self._database = database
        self._metrics = metrics
        self._worker: Worker[ScorerShard] | None = None
        self._over = asyncio.Event()

    async def start(self) -> None:
        scores = self._settings.scores
        tools = Tools(
            PostgresStore(self._database.pool),
            self._publisher,
            SystemClock(),
            Counts(self._metrics),
            scores.cadence(),
            scores.absent_after_s,
        )
        self._worker = Worker(
            self._bus,
            ROUTES,
            group=GROUP,
            shard_factory=lambda number: ScorerShard(number, tools),
            publisher=self._publisher,
            service=SERVICE,
            settings=WorkerSettings(
                checkpoint_interval_s=scores.checkpoint_every_s, checkpoint_records=2_000
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
    """Drops old scores, by the event time of the newest."""

    def __init__(self, database: Database, keep_days: int) -> None:
        self._database = database
        self._keep_ns = keep_days * DAY_NS
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Nothing to open."""

    async def run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), CLEAN_EVERY_S)
            if not self._stopping.is_set():
                await Queries(self._database.pool).drop_older(self._keep_ns)

    async def stop(self) -> None:
        self._stopping.set()


class Queried:
    """The gRPC server, made once the database is there."""

    def __init__(self, settings: Settings, database: Database, metrics: Metrics) -> None:
        self._settings = settings
        self._database = database
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
        service = SignalsService(
            Queries(self._database.pool),
            WeightsTable(self._database.pool),
            authenticator(signer, required=settings.require_principal),
            Limits(settings.scores.default_quote, settings.grpc.default_deadline_s),
        )
        self._server = GrpcServer(
            settings.grpc,
            [lambda server: add_SignalsServicer_to_server(service, server)],
            [DESCRIPTOR.services_by_name["Signals"].full_name],
            metrics=self._metrics,
            errors=ERRORS,
        )
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()


class SignalScorerApp:
    """Starts database, publisher, gRPC, shards and health in this order."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        metrics = Metrics.of(
            SERVICE, layer=NAMES, input=(WHALES,), topic=tuple(topic.name for topic in READS)
        )
        publisher = MeasuredPublisher(bus.publisher(), metrics)
        self.database = Database(settings)
        self.shards = Shards(settings, bus, publisher, self.database, metrics)
        self.grpc = Queried(settings, self.database, metrics)
        self.http = HealthServer(settings.http, self.health, metrics.registry)
        self.health.add("database", self.database.check)
        self.health.add("shards", self.shards.check)
        days = settings.scores.keep_days
        cleaner = [Cleaner(self.database, days)] if days else []
        self.components: Sequence[Component] = (
            self.database,
            publisher,
            self.grpc,
            self.shards,
            *cleaner,
            self.http,
        )


def build_app(settings: Settings) -> SignalScorerApp:
    return SignalScorerApp(settings, create_bus(settings.kafka, f"teleglas-{SERVICE}"))
