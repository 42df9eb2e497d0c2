"""The composition root: what market-data is made of, and in which order it starts and stops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median_low

import grpc.aio

from teleglas.market.v1.service_pb2 import DESCRIPTOR
from teleglas.market.v1.service_pb2_grpc import add_MarketDataServicer_to_server
from teleglas_common.bus.ports import Bus
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.health import Health
from teleglas_common.health_server import HealthServer
from teleglas_common.kafka import READ_FEEDS_S, create_bus
from teleglas_common.lifecycle import Component
from teleglas_common.parts import Database, Periodic, Shards, standing_on
from teleglas_common.principal import authenticator, signer_of
from teleglas_common.redis import create_redis
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_common.telemetry.watch import Watch
from teleglas_market_data.adapters.grpc_service import ERRORS, MarketDataService
from teleglas_market_data.adapters.pieces import TimePieces
from teleglas_market_data.adapters.queries import Queries
from teleglas_market_data.adapters.redis_latest import RedisLatest
from teleglas_market_data.adapters.requests import Symbols
from teleglas_market_data.adapters.store import PostgresStore
from teleglas_market_data.counts import Counts
from teleglas_market_data.live import Live
from teleglas_market_data.ports import SCHEMA
from teleglas_market_data.routes import GROUP, READS, ROUTES, WRITES
from teleglas_market_data.settings import Settings
from teleglas_market_data.shard import MarketShard, Tools

__all__ = ["SERVICE", "MarketDataApp", "build_app", "common_frontier"]

SERVICE = "market-data"
MIGRATIONS = Path(__file__).with_name("migrations")
CLEAN_EVERY_S = 600.0


def common_frontier(frontiers: Iterable[int]) -> int:
    """The time that at least half of the markets with closed candles have reached, 0 without any:
    one venue's wrong clock drops nobody's data, and one that is gone keeps nobody's.
    """
    known = [frontier for frontier in frontiers if frontier > 0]
    return median_low(known) if known else 0


class Pieces:
    """What is known of the tables that are split by time, once the database is there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loaded: TimePieces | None = None

    async def start(self) -> None:
        pieces = TimePieces(self._database.pool)
        await pieces.load()
        self._loaded = pieces

    async def stop(self) -> None:
        """Nothing to close."""

    @property
    def loaded(self) -> TimePieces:
        if self._loaded is None:
            raise RuntimeError("expected a started database")
        return self._loaded


class MarketDataApp:
    """Starts database, pieces, cache, publisher, gRPC, shards, cleaner and health in this order."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        self._settings = settings
        self._bus = bus
        self._metrics = Metrics.of(SERVICE, reads=READS, writes=WRITES)
        self._live = Live()
        self._publisher = MeasuredPublisher(bus.publisher(), self._metrics)
        self._latest = RedisLatest(create_redis(settings.redis))
        self.database = Database(settings.postgres, SERVICE, SCHEMA, MIGRATIONS)
        self._pieces = Pieces(self.database)
        self.shards = Shards(self._worker)
        self.grpc = GrpcServer(
            settings.grpc,
            [self._serve],
            [DESCRIPTOR.services_by_name["MarketData"].full_name],
            metrics=self._metrics,
            errors=ERRORS,
        )
        self.http = HealthServer(settings.http, self.health, self._metrics)
        self.health.add("database", self.database.check)
        self.health.add("shards", self.shards.check)
        drops = settings.candles.drop_old_data
        cleaner = [Periodic(CLEAN_EVERY_S, self._drop_older)] if drops else []
        self.components: Sequence[Component] = (
            self.database,
            self._pieces,
            self._latest,
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

    def _worker(self) -> Worker[MarketShard]:
        settings = self._settings
        tools = Tools(
            PostgresStore(self.database.pool, self._pieces.loaded),
            self._publisher,
            self._latest,
            self._live,
            SystemClock(),
            Counts(self._metrics),
            settings.late_bound_ns,
            settings.composite.definition(),
            settings.summary_every_ns,
        )
        return Worker(
            self._bus,
            ROUTES,
            group=GROUP,
            shard_factory=lambda number: MarketShard(number, tools),
            publisher=self._publisher,
            service=SERVICE,
            settings=WorkerSettings(
                checkpoint_interval_s=settings.candles.checkpoint_every_s, checkpoint_records=2_000
            ),
            metrics=BusMetrics(self._metrics, GROUP),
        )

    def _serve(self, server: grpc.aio.Server) -> None:
        settings = self._settings
        service = MarketDataService(
            Queries(self.database.reads),
            self._live,
            Symbols(settings.candles.default_quote),
            authenticator(
                signer_of(settings.principal_secret), required=settings.principals_required
            ),
            settings.grpc.default_deadline_s,
        )
        add_MarketDataServicer_to_server(service, server)

    async def _drop_older(self) -> None:
        """By the event time that most markets here have come to."""
        now = common_frontier(self._live.frontier(market) for market in self._live.markets())
        if now:
            await self._pieces.loaded.drop_older(now)


def build_app(settings: Settings) -> MarketDataApp:
    return MarketDataApp(
        settings, create_bus(settings.kafka, f"teleglas-{SERVICE}", reads_behind_s=READ_FEEDS_S)
    )
