"""The composition root: what prediction is made of, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from teleglas.prediction.v1.prediction_pb2 import DESCRIPTOR
from teleglas.prediction.v1.prediction_pb2_grpc import add_PredictionsServicer_to_server
from teleglas_common.bus.ports import Bus, Publisher
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.health import Health
from teleglas_common.health_server import HealthServer
from teleglas_common.kafka import create_bus
from teleglas_common.lifecycle import Component
from teleglas_common.postgres import UNREACHABLE, create_pool, migrate, migrations_in
from teleglas_common.principal import authenticator, signer_of
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_prediction.adapters.grpc_service import ERRORS, PredictionService
from teleglas_prediction.adapters.queries import Queries
from teleglas_prediction.adapters.registry import load_registry
from teleglas_prediction.adapters.requests import Symbols
from teleglas_prediction.adapters.store import PostgresStore
from teleglas_prediction.counts import Counts
from teleglas_prediction.domain.horizons import SECOND_NS
from teleglas_prediction.lineups import Lineups
from teleglas_prediction.ports import SCHEMA
from teleglas_prediction.routes import GROUP, ROUTES
from teleglas_prediction.settings import Settings
from teleglas_prediction.shard import Live, PredictionShard, Tools

__all__ = ["SERVICE", "Database", "PredictionApp", "build_app"]

SERVICE = "prediction"
MIGRATIONS = Path(__file__).parents[2] / "migrations"
CLEAN_EVERY_S = 600.0
DAY_NS = 86_400 * SECOND_NS
_log = logging.getLogger(__name__)


class Database:
    """The pool, with the schema brought up to date."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool[Any] | None = None

    async def start(self) -> None:
        pool = await create_pool(self._settings.postgres, f"teleglas-{SERVICE}")
        self._pool = pool
        await migrate(pool, SCHEMA, migrations_in(MIGRATIONS))

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
        live: Live,
        lineups: Lineups,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._publisher = publisher
        self._database = database
        self._live = live
        self._lineups = lineups
        self._metrics = metrics
        self._worker: Worker[PredictionShard] | None = None
        self._over = asyncio.Event()

    async def start(self) -> None:
        tools = Tools(
            PostgresStore(self._database.pool),
            self._publisher,
            self._live,
            self._lineups,
            SystemClock(),
            Counts(self._metrics),
        )
        self._worker = Worker(
            self._bus,
            ROUTES,
            group=GROUP,
            shard_factory=lambda number: PredictionShard(number, tools),
            publisher=self._publisher,
            service=SERVICE,
            settings=WorkerSettings(
                checkpoint_interval_s=self._settings.forecasts.checkpoint_every_s,
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
    """Keeps the ledger as long as the settings say."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._keep_ns = settings.forecasts.keep_ledger_days * DAY_NS
        self._database = database
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Nothing to open."""

    async def run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), CLEAN_EVERY_S)
            if self._keep_ns and not self._stopping.is_set():
                with contextlib.suppress(*UNREACHABLE):
                    await Queries(self._database.pool).delete_old(self._keep_ns)

    async def stop(self) -> None:
        self._stopping.set()


class Queried:
    """The gRPC server, made once the database is there."""

    def __init__(
        self, settings: Settings, database: Database, live: Live, lineups: Lineups, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._database = database
        self._live = live
        self._lineups = lineups
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
        service = PredictionService(
            Queries(self._database.pool),
            self._live,
            self._lineups,
            Symbols(settings.forecasts.default_quote),
            authenticator(signer, required=settings.require_principal),
            settings.grpc.default_deadline_s,
        )
        self._server = GrpcServer(
            settings.grpc,
            [lambda server: add_PredictionsServicer_to_server(service, server)],
            [DESCRIPTOR.services_by_name["Predictions"].full_name],
            metrics=self._metrics,
            errors=ERRORS,
        )
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()


class PredictionApp:
    """Starts database, publisher, shards, gRPC and health in this order."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        metrics = Metrics.of(SERVICE)
        live = Live()
        lineups = known_models(settings, Counts(metrics))
        publisher = MeasuredPublisher(bus.publisher(), metrics)
        self.database = Database(settings)
        self.shards = Shards(settings, bus, publisher, self.database, live, lineups, metrics)
        self.grpc = Queried(settings, self.database, live, lineups, metrics)
        self.http = HealthServer(settings.http, self.health, metrics.registry)
        self.health.add("database", self.database.check)
        self.health.add("shards", self.shards.check)
        self.components: Sequence[Component] = (
            self.database,
            publisher,
            self.grpc,
            self.shards,
            Cleaner(settings, self.database),
            self.http,
        )


def known_models(settings: Settings, counts: Counts) -> Lineups:
    """The registry's models; a file that is refused is said and counted, and the rest goes on."""
    lineups = load_registry(settings.forecasts.registry)
    for name, cause in lineups.refusals:
        _log.error("model %s of the registry is refused: %s", name, cause)
        counts.refused_model(cause)
    return lineups


def build_app(settings: Settings) -> PredictionApp:
    return PredictionApp(settings, create_bus(settings.kafka, f"teleglas-{SERVICE}"))
