"""The composition root: builds adapters, hands them over, orders start and stop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import asyncpg

from teleglas_common.bus.ports import Bus, Publisher
from teleglas_common.health import Health
from teleglas_common.health_server import HealthServer
from teleglas_common.kafka import create_bus
from teleglas_common.lifecycle import Component
from teleglas_common.parts import reaching
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_common.telemetry.watch import Ask, Watch
from teleglas_ingest.adapters.leases import SCHEMA, LocalLeases, PostgresLeases
from teleglas_ingest.adapters.meters import PrometheusMeters
from teleglas_ingest.adapters.rest import AiohttpRest, WeightBudget
from teleglas_ingest.adapters.websocket import PicowsDialer
from teleglas_ingest.owner import Owner, OwnerPolicy
from teleglas_ingest.pipeline.feed import FeedPolicy
from teleglas_ingest.pipeline.link import LinkTiming
from teleglas_ingest.pipeline.meters import Meters
from teleglas_ingest.pipeline.pace import Pace
from teleglas_ingest.pipeline.repair import RepairPolicy
from teleglas_ingest.pipeline.shard import ShardPolicy
from teleglas_ingest.ports import Lease, Leases
from teleglas_ingest.routes import WRITES
from teleglas_ingest.settings import Settings, VenueSection
from teleglas_ingest.tenure import Duties, ShardTenure, Standby, begin_tenure, stand_by
from teleglas_ingest.venues import VENUES

__all__ = ["IngestApp", "build_app"]

SERVICE = "ingest"
MIGRATIONS = Path(__file__).with_name("migrations")


class Database:
    """The pool and the leases in it; without a database, leases of this process alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self.leases: Leases = LocalLeases()

    async def start(self) -> None:
        if self._settings.postgres is None:
            return
        self._pool = await create_pool(self._settings.postgres, f"teleglas-{SERVICE}")
        await migrate(self._pool, SCHEMA, migrations_in(MIGRATIONS))
        self.leases = PostgresLeases(self._pool, ttl_s=self._settings.ingest.lease_ttl_s)

    async def stop(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def check(self) -> str | None:
        if self._pool is not None:
            await self._pool.fetchval("SELECT 1")
        return None


class Venues:
    """Every shard of every venue that is on: one owner contends for each."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        bus: Bus,
        publisher: Publisher,
        meters: Meters,
    ) -> None:
        self._settings = settings
        self._database = database
        self._bus = bus
        self._publisher = publisher
        self._meters = meters
        self._rests: list[AiohttpRest] = []
        self._finished = asyncio.Event()
        self.owners: list[Owner] = []

    async def start(self) -> None:
        name = self._settings.ingest.owner or socket.gethostname()
        ttl_s = self._settings.ingest.lease_ttl_s
        for venue, section in self._settings.venues.items():
            self._meters.configured(venue, self._settings.ingest.shards, self._owned(venue))
            duties = self._duties(venue, section)

            async def begin(lease: Lease, duties: Duties = duties) -> ShardTenure:
                return await begin_tenure(duties, lease)

            for shard in range(self._settings.ingest.shards):

                async def reserve(duties: Duties = duties, shard: int = shard) -> Standby:
                    return await stand_by(duties, shard)

                self.owners.append(
                    Owner(
                        venue,
                        shard,
                        name,
                        self._database.leases,
                        begin,
                        reserve,
                        policy=OwnerPolicy(ttl_s=ttl_s),
                        monotonic_s=time.monotonic,
                    )
                )

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for owner in self.owners:
                    tasks.create_task(owner.run())
        finally:
            self._finished.set()

    async def stop(self) -> None:
        for owner in self.owners:
            owner.stop()
        await self._finished.wait()
        for rest in self._rests:
            await rest.close()

    def _owned(self, venue: str) -> Callable[[], int]:
        return lambda: sum(o.venue == venue and o.lease is not None for o in self.owners)

    async def check(self) -> str | None:
        """Every shard is served or stood by for."""
        found = [f"{o.venue}/{o.shard}: {o.trouble}" for o in self.owners if o.trouble]
        return "; ".join(found) or None

    def _duties(self, name: str, section: VenueSection) -> Duties:
        settings = self._settings.ingest
        budget = WeightBudget(section.rest_weight, section.rest_window_s, time.monotonic_ns)
        rest = AiohttpRest(section.rest_url, budget)
        self._rests.append(rest)
        venue = VENUES[name](rest, section.ws_url)
        limits = venue.limits
        return Duties(
            venue=venue,
            symbols=section.symbol_list,
            shards=settings.shards,
            policy=_policy(self._settings, section),
            bus=self._bus,
            publisher=self._publisher,
            dialer=PicowsDialer(),
            connects=Pace(
                limits.connects_per_s,
                burst=min(limits.connects, 20),
                monotonic_ns=time.monotonic_ns,
            ),
            meters=self._meters,
            random=Random(),
            wall_ns=time.time_ns,
            monotonic_ns=time.monotonic_ns,
            outbox_items=settings.outbox_items,
            progress_lease_s=settings.progress_lease_s,
            instruments_every_s=settings.instruments_every_s,
        )


def _policy(settings: Settings, section: VenueSection) -> ShardPolicy:
    ingest = settings.ingest
    return ShardPolicy(
        channels=section.channel_list,
        feed=FeedPolicy(
            max_batch_trades=ingest.batch_max_trades,
            max_batch_age_ns=int(ingest.batch_max_age_ms * 1e6),
            snapshot_every_ns=int(ingest.snapshot_every_s * 1e9),
            ticker_window_ns=ingest.ticker_window_ms * 1_000_000,
        ),
        link=LinkTiming(
            max_age_s=ingest.connection_max_age_s,
            patience=ingest.silence_patience,
            still_ping_every_s=ingest.progress_lease_s / 3,
        ),
        repair=RepairPolicy(
            backfill_deadline_s=ingest.backfill_deadline_s,
            backfill_max_trades=ingest.backfill_max_trades,
        ),
        progress_every_s=ingest.progress_every_s,
        progress_slack_ms=ingest.progress_slack_ms,
        progress_skew_ms=ingest.progress_skew_ms,
        open_interest_every_s=ingest.open_interest_every_s,
        streams_per_connection=ingest.streams_per_connection,
        lease_ttl_s=ingest.lease_ttl_s,
    )


class IngestApp:
    """Starts database, publisher, health and venues in this order; stops in reverse."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        metrics = Metrics.of(SERVICE, writes=WRITES, venue=tuple(settings.venues))
        self.database = Database(settings)
        self.http = HealthServer(settings.http, self.health, metrics)
        publisher = MeasuredPublisher(bus.publisher(), metrics)
        self.venues = Venues(settings, self.database, bus, publisher, PrometheusMeters(metrics))
        self.health.add("database", self.database.check)
        self.health.add("venues", self.venues.check)
        dependencies: dict[str, Ask] = {"kafka": reaching(bus)}
        if settings.postgres is not None:
            dependencies["postgres"] = self.database.check
        self.components: Sequence[Component] = (
            self.database,
            publisher,
            self.http,
            self.venues,
            Watch(metrics, self.health, dependencies),
        )


def build_app(settings: Settings) -> IngestApp:
    return IngestApp(settings, create_bus(settings.kafka, f"teleglas-{SERVICE}", writes_feeds=True))
