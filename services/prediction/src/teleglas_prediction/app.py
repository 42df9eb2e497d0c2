"""The composition root: what prediction is made of, and in which order it starts and stops."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

import grpc.aio

from teleglas.prediction.v1.prediction_pb2 import DESCRIPTOR
from teleglas.prediction.v1.prediction_pb2_grpc import add_PredictionsServicer_to_server
from teleglas_common.bus.ports import Bus
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.health import Health
from teleglas_common.health_server import HealthServer
from teleglas_common.kafka import create_bus
from teleglas_common.lifecycle import Component
from teleglas_common.parts import Database, Periodic, Shards, standing_on
from teleglas_common.postgres import UNREACHABLE
from teleglas_common.principal import authenticator, signer_of
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_common.telemetry.watch import Watch
from teleglas_prediction.adapters.grpc_service import ERRORS, PredictionService
from teleglas_prediction.adapters.queries import Queries
from teleglas_prediction.adapters.registry import load_registry
from teleglas_prediction.adapters.requests import Symbols
from teleglas_prediction.adapters.store import PostgresStore
from teleglas_prediction.counts import Counts
from teleglas_prediction.domain.horizons import SECOND_NS
from teleglas_prediction.lineups import Lineups
from teleglas_prediction.ports import SCHEMA
from teleglas_prediction.routes import GROUP, READS, ROUTES, WRITES
from teleglas_prediction.settings import Settings
from teleglas_prediction.shard import Live, PredictionShard, Tools

__all__ = ["SERVICE", "PredictionApp", "build_app"]

SERVICE = "prediction"
MIGRATIONS = Path(__file__).with_name("migrations")
CLEAN_EVERY_S = 600.0
DAY_NS = 86_400 * SECOND_NS
_log = logging.getLogger(__name__)


class PredictionApp:
    """Starts database, publisher, gRPC, shards, cleaner and health in this order."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        self._settings = settings
        self._bus = bus
        self._metrics = Metrics.of(SERVICE, reads=READS, writes=WRITES)
        self._live = Live()
        self._lineups = known_models(settings, Counts(self._metrics))
        self._publisher = MeasuredPublisher(bus.publisher(), self._metrics)
        self.database = Database(settings.postgres, SERVICE, SCHEMA, MIGRATIONS)
        self.shards = Shards(self._worker)
        self.grpc = GrpcServer(
            settings.grpc,
            [self._serve],
            [DESCRIPTOR.services_by_name["Predictions"].full_name],
            metrics=self._metrics,
            errors=ERRORS,
        )
        self.http = HealthServer(settings.http, self.health, self._metrics)
        self.health.add("database", self.database.check)
        self.health.add("shards", self.shards.check)
        self.components: Sequence[Component] = (
            self.database,
            self._publisher,
            self.grpc,
            self.shards,
            Periodic(CLEAN_EVERY_S, self._delete_old),
            self.http,
            Watch(
                self._metrics,
                self.health,
                standing_on(bus, self.database),
            ),
        )

    def _worker(self) -> Worker[PredictionShard]:
        tools = Tools(
            PostgresStore(self.database.pool),
            self._publisher,
            self._live,
            self._lineups,
            SystemClock(),
            Counts(self._metrics),
        )
        return Worker(
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
            metrics=BusMetrics(self._metrics, GROUP),
        )

    def _serve(self, server: grpc.aio.Server) -> None:
        settings = self._settings
        service = PredictionService(
            Queries(self.database.pool),
            self._live,
            self._lineups,
            Symbols(settings.forecasts.default_quote),
            authenticator(
                signer_of(settings.principal_secret), required=settings.require_principal
            ),
            settings.grpc.default_deadline_s,
        )
        add_PredictionsServicer_to_server(service, server)

    async def _delete_old(self) -> None:
        """Keep the ledger as long as the settings say; an outage is made good by the next time."""
        keep_ns = self._settings.forecasts.keep_ledger_days * DAY_NS
        if keep_ns:
            with contextlib.suppress(*UNREACHABLE):
                await Queries(self.database.pool).delete_old(keep_ns)


def known_models(settings: Settings, counts: Counts) -> Lineups:
    """The registry's models; a file that is refused is said and counted, and the rest goes on."""
    lineups = load_registry(settings.forecasts.registry)
    for name, cause in lineups.refusals:
        _log.error("model %s of the registry is refused: %s", name, cause)
        counts.refused_model(cause)
    return lineups


def build_app(settings: Settings) -> PredictionApp:
    return PredictionApp(settings, create_bus(settings.kafka, f"teleglas-{SERVICE}"))
