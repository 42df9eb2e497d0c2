"""The composition root: what the detector is made of, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import grpc.aio

from teleglas.whale.v1.whale_pb2 import DESCRIPTOR
from teleglas.whale.v1.whale_pb2_grpc import add_WhalesServicer_to_server
from teleglas_common.bus.ports import Bus, BusError
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.health import Health
from teleglas_common.health_server import HealthServer
from teleglas_common.kafka import create_bus
from teleglas_common.lifecycle import Component
from teleglas_common.parts import Database, Shards, standing_on
from teleglas_common.principal import authenticator, signer_of
from teleglas_common.settings import KafkaSection
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_common.telemetry.watch import Watch
from teleglas_whale_detector.adapters.alert_store import PostgresAlerts
from teleglas_whale_detector.adapters.faust_topics import INTERNAL
from teleglas_whale_detector.adapters.faust_worker import FaustSettings, FaustWorker
from teleglas_whale_detector.adapters.grpc_service import ERRORS, WhalesService
from teleglas_whale_detector.counts import Counts
from teleglas_whale_detector.ports import SCHEMA
from teleglas_whale_detector.routes import GROUP, INPUTS, READS, WRITES
from teleglas_whale_detector.settings import Settings
from teleglas_whale_detector.shard import Tools
from teleglas_whale_detector.sink import SINK_GROUP, SINK_ROUTES, AlertShard

__all__ = ["SERVICE", "WhaleApp", "build_app"]

SERVICE = "whale-detector"
MIGRATIONS = Path(__file__).with_name("migrations")
THRESHOLDS_EVERY_S = 15.0


class Topics:
    """What Faust reads must exist before it starts: its own topics and its inputs. Where they were
    made for us, as where we have no right to, none is asked for.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def start(self) -> None:
        wanted = [*INPUTS, *WRITES, *INTERNAL]
        try:
            await self._bus.begins([topic.name for topic in wanted])
        except BusError:
            await self._bus.create(wanted)

    async def stop(self) -> None:
        """Nothing to close."""


class History:
    """The shards that write alerts into the database, and thresholds now and then."""

    def __init__(
        self, shards: Shards[AlertShard], database: Database, detector: FaustWorker
    ) -> None:
        self._shards = shards
        self._database = database
        self._detector = detector
        self._keeping: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        await self._shards.start()

    async def run(self) -> None:
        self._keeping = asyncio.create_task(self._keep_thresholds(), name="thresholds")
        try:
            await self._shards.run()
        finally:
            self._stopping.set()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def stop(self) -> None:
        """Store what is under way."""
        self._stopping.set()
        await self._shards.stop()
        if self._keeping is not None:
            await asyncio.wait({self._keeping})

    async def _keep_thresholds(self) -> None:
        """So that any replica can answer; a failure is made good by the next one."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), THRESHOLDS_EVERY_S)
            found = self._detector.thresholds()
            if found:
                with contextlib.suppress(asyncpg.PostgresError, OSError, TimeoutError):
                    await PostgresAlerts(self._database.pool).save_thresholds(found)


class WhaleApp:
    """Starts database, publisher, topics, gRPC, history, Faust and health in this order."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        self._settings = settings
        self._bus = bus
        self._metrics = Metrics.of(SERVICE, reads=READS, writes=WRITES)
        self._publisher = MeasuredPublisher(bus.publisher(), self._metrics)
        self.database = Database(settings.postgres, SERVICE, SCHEMA, MIGRATIONS)
        tools = Tools(SystemClock(), Counts(self._metrics), settings.detector.definition())
        measured = BusMetrics(self._metrics, GROUP)
        self.detector = FaustWorker(faust_settings(settings), tools, self._publisher, measured)
        self.grpc = GrpcServer(
            settings.grpc,
            [self._serve],
            [DESCRIPTOR.services_by_name["Whales"].full_name],
            metrics=self._metrics,
            errors=ERRORS,
        )
        self.http = HealthServer(settings.http, self.health, self._metrics)
        self.health.add("database", self.database.check)
        self.health.add("table", self.detector.check)
        self.components: Sequence[Component] = (
            self.database,
            self._publisher,
            Topics(bus),
            self.grpc,
            History(Shards(self._worker), self.database, self.detector),
            self.detector,
            self.http,
            Watch(
                self._metrics,
                self.health,
                standing_on(bus, self.database),
            ),
        )

    def _worker(self) -> Worker[AlertShard]:
        store = PostgresAlerts(self.database.pool)
        return Worker(
            self._bus,
            SINK_ROUTES,
            group=SINK_GROUP,
            shard_factory=lambda _: AlertShard(store),
            publisher=self._publisher,
            service=SERVICE,
            settings=WorkerSettings(checkpoint_interval_s=0.5),
            metrics=BusMetrics(self._metrics, SINK_GROUP),
        )

    def _serve(self, server: grpc.aio.Server) -> None:
        settings = self._settings
        service = WhalesService(
            PostgresAlerts(self.database.pool),
            self.detector,
            authenticator(
                signer_of(settings.principal_secret), required=settings.require_principal
            ),
            settings.grpc.default_deadline_s,
        )
        add_WhalesServicer_to_server(service, server)


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
