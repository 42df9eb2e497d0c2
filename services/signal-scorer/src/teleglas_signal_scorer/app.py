"""The composition root: what signal-scorer is made of, and in which order it starts and stops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc.aio

from teleglas.signal.v1.signal_pb2 import DESCRIPTOR
from teleglas.signal.v1.signal_pb2_grpc import add_SignalsServicer_to_server
from teleglas_common.bus.ports import Bus
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.health import Health
from teleglas_common.health_server import HealthServer
from teleglas_common.kafka import READ_CANDLES_S, create_bus
from teleglas_common.lifecycle import Component
from teleglas_common.parts import Database, Periodic, Shards, standing_on
from teleglas_common.principal import authenticator, signer_of
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_common.telemetry.watch import Watch
from teleglas_signal_scorer.adapters.grpc_service import ERRORS, Limits, SignalsService
from teleglas_signal_scorer.adapters.queries import Queries
from teleglas_signal_scorer.adapters.store import PostgresStore
from teleglas_signal_scorer.adapters.weights_table import WeightsTable
from teleglas_signal_scorer.counts import Counts
from teleglas_signal_scorer.domain.layers.order_flow import WHALES
from teleglas_signal_scorer.domain.registry import NAMES
from teleglas_signal_scorer.ports import SCHEMA
from teleglas_signal_scorer.routes import GROUP, READS, ROUTES, WRITES
from teleglas_signal_scorer.settings import Settings
from teleglas_signal_scorer.shard import ScorerShard, Tools

__all__ = ["MIGRATIONS", "SERVICE", "SignalScorerApp", "build_app"]

SERVICE = "signal-scorer"
MIGRATIONS = Path(__file__).with_name("migrations")
CLEAN_EVERY_S = 600.0
DAY_NS = 86_400 * 1_000_000_000


class FirstWeights:
    """Written once the database is there, if it holds none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self) -> None:
        await WeightsTable(self._database.pool).ensure()

    async def stop(self) -> None:
        """Nothing to close."""


class SignalScorerApp:
    """Starts database, weights, publisher, gRPC, shards, cleaner and health in this order."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        self._settings = settings
        self._bus = bus
        self._metrics = Metrics.of(
            SERVICE, reads=READS, writes=WRITES, layer=NAMES, input=(WHALES,)
        )
        self._publisher = MeasuredPublisher(bus.publisher(), self._metrics)
        self.database = Database(settings.postgres, SERVICE, SCHEMA, MIGRATIONS)
        self.shards = Shards(self._worker)
        self.grpc = GrpcServer(
            settings.grpc,
            [self._serve],
            [DESCRIPTOR.services_by_name["Signals"].full_name],
            metrics=self._metrics,
            errors=ERRORS,
        )
        self.http = HealthServer(settings.http, self.health, self._metrics)
        self.health.add("database", self.database.check)
        self.health.add("shards", self.shards.check)
        keeps = settings.scores.keep_days
        cleaner = [Periodic(CLEAN_EVERY_S, self._drop_older)] if keeps else []
        self.components: Sequence[Component] = (
            self.database,
            FirstWeights(self.database),
            self._publisher,
            self.grpc,
            self.shards,
            *cleaner,
            self.http,
            Watch(
                self._metrics,
                self.health,
                standing_on(bus, self.database),
            ),
        )

    def _worker(self) -> Worker[ScorerShard]:
        scores = self._settings.scores
        tools = Tools(
            PostgresStore(self.database.pool),
            self._publisher,
            SystemClock(),
            Counts(self._metrics),
            scores.cadence(),
            scores.absent_after_s,
        )
        return Worker(
            self._bus,
            ROUTES,
            group=GROUP,
            shard_factory=lambda number: ScorerShard(number, tools),
            publisher=self._publisher,
            service=SERVICE,
            settings=WorkerSettings(
                checkpoint_interval_s=scores.checkpoint_every_s, checkpoint_records=2_000
            ),
            metrics=BusMetrics(self._metrics, GROUP),
        )

    def _serve(self, server: grpc.aio.Server) -> None:
        settings = self._settings
        service = SignalsService(
            Queries(self.database.pool),
            WeightsTable(self.database.pool),
            authenticator(
                signer_of(settings.principal_secret), required=settings.principals_required
            ),
            Limits(settings.scores.default_quote, settings.grpc.default_deadline_s),
        )
        add_SignalsServicer_to_server(service, server)

    async def _drop_older(self) -> None:
        """By the event time of the newest score."""
        await Queries(self.database.pool).drop_older(self._settings.scores.keep_days * DAY_NS)


def build_app(settings: Settings) -> SignalScorerApp:
    bus = create_bus(settings.kafka, f"teleglas-{SERVICE}", reads_behind_s=READ_CANDLES_S)
    return SignalScorerApp(settings, bus)
