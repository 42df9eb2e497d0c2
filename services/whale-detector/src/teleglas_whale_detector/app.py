"""The composition root: what the detector is made of, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from teleglas.whale.v1.whale_pb2 import DESCRIPTOR
from teleglas.whale.v1.whale_pb2_grpc import add_WhalesServicer_to_server
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
from teleglas_common.settings import KafkaSection
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_whale_detector.adapters.alert_store import PostgresAlerts
from teleglas_whale_detector.adapters.faust_topics import INTERNAL
from teleglas_whale_detector.adapters.faust_worker import FaustSettings, FaustWorker
from teleglas_whale_detector.adapters.grpc_service import ERRORS, WhalesService
from teleglas_whale_detector.counts import Counts
from teleglas_whale_detector.ports import SCHEMA
from teleglas_whale_detector.routes import INPUTS, WRITES
from teleglas_whale_detector.settings import Settings
from teleglas_whale_detector.shard import Tools
from teleglas_whale_detector.sink import SINK_GROUP, SINK_ROUTES, AlertShard

__all__ = ["SERVICE", "WhaleApp", "build_app"]

SERVICE = "whale-detector"
MIGRATIONS = Path(__file__).parents[2] / "migrations"
THRESHOLDS_EVERY_S = 15.0


class Database:
    """The pool, with the schema brought up to date."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool[Any] | None = None

    async def start(self) -> None:
        self._pool = await create_pool(self._settings.postgres, f"teleglas-{SERVICE}")
        await migrate(self._pool, SCHEMA, migrations_in(MIGRATIONS))

    async def stop(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    @property
    def alerts(self) -> PostgresAlerts:
        return PostgresAlerts(self.pool)

    @property
    def pool(self) -> asyncpg.Pool[Any]:
        if self._pool is None:
            raise RuntimeError("expected a started database")
        return self._pool

    async def check(self) -> str | None:
        await self.pool.fetchval("SELECT 1")
        return None


class Topics:
    """What Faust reads must exist before it starts: its own topics and its inputs."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def start(self) -> None:
        await self._bus.create([*INPUTS, *WRITES, *INTERNAL])

    async def stop(self) -> None:
        """Nothing to close."""


class History:
    """The worker that writes alerts into the database, and thresholds now and then."""

    def __init__(
        self,
        bus: Bus,
        publisher: Publisher,
        database: Database,
        detector: FaustWorker,
        metrics: Metrics,
    ) -> None:
        self._bus = bus
        self._publisher = publisher
        self._database = database
        self._detector = detector
        self._metrics = metrics
        self._worker: Worker[AlertShard] | None = None
        self._over = asyncio.Event()
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        store = self._database.alerts
        self._worker = Worker(
            self._bus,
            SINK_ROUTES,
            group=SINK_GROUP,
            shard_factory=lambda _: AlertShard(store),
            publisher=self._publisher,
            service=SERVICE,
            settings=WorkerSettings(checkpoint_interval_s=0.5),
            metrics=BusMetrics(self._metrics),
        )

    async def run(self) -> None:
        if self._worker is None:
            raise RuntimeError("expected a started worker")
        keeping = asyncio.create_task(self._keep_thresholds(), name="thresholds")
        try:
            await self._worker.run()
        finally:
            self._stopping.set()
            await asyncio.gather(keeping, return_exceptions=True)
            self._over.set()

    async def stop(self) -> None:
        """Store what is under way."""
        self._stopping.set()
        if self._worker is not None:
            self._worker.stop()
            await self._over.wait()

    async def _keep_thresholds(self) -> None:
        """So that any replica can answer; a failure is made good by the next one."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), THRESHOLDS_EVERY_S)
            found = self._detector.thresholds()
            if found:
                with contextlib.suppress(asyncpg.PostgresError, OSError, TimeoutError):
                    await self._database.alerts.save_thresholds(found)


class Queried:
    """The gRPC server, made once the database is there."""

    def __init__(
        self, settings: Settings, database: Database, detector: FaustWorker, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._database = database
        self._detector = detector
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
        service = WhalesService(
            self._database.alerts,
            self._detector,
            authenticator(signer, required=settings.require_principal),
            settings.grpc.default_deadline_s,
        )
        self._server = GrpcServer(
            settings.grpc,
            [lambda server: add_WhalesServicer_to_server(service, server)],
            [DESCRIPTOR.services_by_name["Whales"].full_name],
            metrics=self._metrics,
            errors=ERRORS,
        )
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()


class WhaleApp:
    """Starts database, publisher, topics, gRPC, history, Faust and health in this order."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        metrics = Metrics.of(SERVICE)
        publisher = MeasuredPublisher(bus.publisher(), metrics)
        self.database = Database(settings)
        tools = Tools(SystemClock(), Counts(metrics), settings.detector.definition())
        self.detector = FaustWorker(faust_settings(settings), tools, publisher, BusMetrics(metrics))
        self.grpc = Queried(settings, self.database, self.detector, metrics)
        self.http = HealthServer(settings.http, self.health, metrics.registry)
        self.health.add("database", self.database.check)
        self.health.add("table", self.detector.check)
        self.components: Sequence[Component] = (
            self.database,
            publisher,
            Topics(bus),
            self.grpc,
            History(bus, publisher, self.database, self.detector, metrics),
            self.detector,
            self.http,
        )


def faust_settings(settings: Settings) -> FaustSettings:
    """Faust's own connection to the log, as the settings describe it."""
    servers = [server.strip() for server in settings.kafka.bootstrap.split(",")]
    return FaustSettings(
        broker=";".join(f"kafka://{server}" for server in servers),
        flush_interval_s=settings.detector.flush_every_s,
        flush_records=settings.detector.flush_records,
        credentials=_credentials(settings.kafka),
    )


def _credentials(section: KafkaSection) -> Any:
    if section.security_protocol == "PLAINTEXT":
        return None
    import faust

    context = None
    if section.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=section.ssl_ca_file)
        if section.ssl_cert_file is not None:
            context.load_cert_chain(section.ssl_cert_file, section.ssl_key_file)
    if section.security_protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=section.sasl_username,
        password=section.sasl_password.get_secret_value(),
        mechanism=section.sasl_mechanism,
        ssl_context=context,
    )


def build_app(settings: Settings) -> WhaleApp:
    return WhaleApp(settings, create_bus(settings.kafka, f"teleglas-{SERVICE}"))
