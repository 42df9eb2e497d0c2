"""The composition root: what the gateway is made of, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from teleglas_common.bus.ports import Bus
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_client import create_channel
from teleglas_common.health import Health
from teleglas_common.kafka import READ_DERIVED_S, SHOWN_WITHIN_MS, create_bus
from teleglas_common.lifecycle import Component
from teleglas_common.parts import reaching
from teleglas_common.postgres import create_pool, migrate
from teleglas_common.principal import Signer
from teleglas_common.redis import create_redis
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.watch import Watch
from teleglas_gateway.access import KeyAccess
from teleglas_gateway.adapters.backends import open_backends
from teleglas_gateway.adapters.calls import Calls
from teleglas_gateway.adapters.forming import GrpcForming
from teleglas_gateway.adapters.limiters import FallbackLimiter, LocalLimiter, RedisLimiter
from teleglas_gateway.adapters.market_data import SAFE_METHODS, GrpcMarketData
from teleglas_gateway.adapters.postgres_keys import SCHEMA, PostgresKeys, migrations
from teleglas_gateway.adapters.principals import SignedMetadata
from teleglas_gateway.adapters.redis_claims import RedisClaims
from teleglas_gateway.adapters.redis_tickets import RedisTickets
from teleglas_gateway.adapters.watchers import StreamMetrics
from teleglas_gateway.channels import CHANNELS
from teleglas_gateway.domain.authorize import ScopeAuthorizer
from teleglas_gateway.domain.limits import Quota
from teleglas_gateway.domain.problems import Code
from teleglas_gateway.domain.symbols import Catalogue
from teleglas_gateway.rest.api import build_api
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.http import HttpServer
from teleglas_gateway.rest.models import StreamHealth
from teleglas_gateway.routes import READS
from teleglas_gateway.settings import GatewaySettings, StreamSection
from teleglas_gateway.stream.assembly import Streams
from teleglas_gateway.stream.catchup import CatchUpLimits
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.stream.outbox import OutboxLimits
from teleglas_gateway.stream.protocol import stream_protocol

__all__ = ["Gateway", "GatewayApp", "build_app"]

STALE_POLL_S = 15.0
"""A hub that has not come back from the log for so long does not deliver."""


class Gateway:
    """The one component: everything that needs something else connected first is made in `start`,
    in the order in which it is needed, and let go of in the reverse.
    """

    def __init__(self, settings: GatewaySettings, bus: Bus, health: Health) -> None:
        self._settings = settings
        self._bus = bus
        self._health = health
        self._stack = AsyncExitStack()
        self._streams: Streams | None = None
        self._http: HttpServer | None = None
        self._delivering: asyncio.Task[None] | None = None
        self._dependencies: Watch | None = None
        self.metrics = Metrics.of(
            "gateway",
            reads=READS,
            channel=tuple(channel.name for channel in CHANNELS),
            code=tuple(code.slug for code in Code),
        )

    @property
    def port(self) -> int:
        if self._http is None:
            raise RuntimeError("expected a started gateway")
        return self._http.port

    async def start(self) -> None:
        """Stores first, then the log, and the port last: whoever can connect is served."""
        settings, edge = self._settings, self._settings.edge
        pool = await create_pool(settings.postgres, "teleglas-gateway")
        self._stack.push_async_callback(pool.close)
        await migrate(pool, SCHEMA, migrations())
        redis = create_redis(settings.redis)
        self._stack.push_async_callback(redis.aclose)
        channel = create_channel(
            settings.market_data.target, safe_methods=SAFE_METHODS, metrics=self.metrics
        )
        self._stack.push_async_callback(channel.close)

        keys_of_principals = settings.principal_secret.get_secret_value().encode().split()
        metadata = SignedMetadata(Signer(keys_of_principals, SystemClock()))
        keys, tickets = PostgresKeys(pool), RedisTickets(redis)
        access, authorizer = KeyAccess(keys, tickets), ScopeAuthorizer()
        catalogue = Catalogue(edge.default_quote)
        streams = await Streams.start(
            self._bus,
            catalogue,
            access,
            authorizer,
            keys,
            stream_settings(settings.stream),
            StreamMetrics(self.metrics),
            claims=RedisClaims(redis, timeout_s=settings.redis.timeout_s),
            forming=GrpcForming(channel, metadata),
        )
        self._streams = streams
        self._stack.push_async_callback(streams.stop)
        self._watch(streams)
        self._dependencies = Watch(
            self.metrics,
            self._health,
            {
                "kafka": reaching(self._bus),
                "postgres": lambda: pool.fetchval("SELECT 1"),
                "redis": redis.ping,
            },
        )
        context = RestContext(
            catalogue=catalogue,
            market_data=GrpcMarketData(
                channel,
                Calls("market-data", metadata, deadline_s=settings.market_data.deadline_s),
            ),
            backends=open_backends(settings, metadata, self.metrics, self._stack),
            access=access,
            authorizer=authorizer,
            limiter=FallbackLimiter(
                RedisLimiter(redis), LocalLimiter(), timeout_s=edge.limit_timeout_s
            ),
            tickets=tickets,
            quota=Quota("default", edge.requests, edge.window_s),
            refused_quota=Quota("refused", edge.refused_requests, edge.window_s),
            ticket_ttl_s=edge.ticket_ttl_s,
            health=self._health,
            stream_facts=self._facts,
            scored=lambda: streams.hub.known("signals"),
            metrics=self.metrics.page,
            now_ns=time.time_ns,
        )
        api = build_api(context, self.metrics)
        self._http = HttpServer(
            settings.http,
            api,
            stream_protocol(streams.server),
            trusted_proxies=edge.trusted_proxies,
        )
        await self._http.start()

    async def run(self) -> None:
        """Until a part breaks."""
        if self._streams is None or self._http is None or self._dependencies is None:
            raise RuntimeError("expected a started gateway")
        async with asyncio.TaskGroup() as tasks:
            self._delivering = tasks.create_task(self._streams.run())
            tasks.create_task(self._http.run())
            tasks.create_task(self._dependencies.run())

    async def stop(self) -> None:
        """Send clients to another gateway, finish requests, then close what they needed."""
        if self._streams is not None:
            self._streams.server.say_goodbye()
        if self._dependencies is not None:
            await self._dependencies.stop()
        if self._http is not None:
            await self._http.stop()
        if self._delivering is not None:
            self._delivering.cancel()
            await asyncio.wait({self._delivering})
        await self._stack.aclose()

    def _watch(self, streams: Streams) -> None:
        async def live() -> str | None:
            behind_s = streams.hub.behind_s
            return f"no word from the log for {behind_s:.0f} s" if behind_s > STALE_POLL_S else None

        self._health.add("streams", live)

    def _facts(self) -> StreamHealth:
        streams = self._streams
        if streams is None:
            raise RuntimeError("expected a started gateway")
        behind_s = streams.hub.behind_s
        return StreamHealth(
            status="ok" if behind_s <= STALE_POLL_S else "behind",
            connections=len(streams.server),
            instruments=len(streams.catalogue),
            behind_s=round(behind_s, 3),
        )


class GatewayApp:
    """The gateway as the lifecycle runs it."""

    def __init__(self, settings: GatewaySettings, bus: Bus | None = None) -> None:
        self.name = "gateway"
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        bus = bus or create_bus(
            settings.kafka,
            "teleglas-gateway",
            reads_behind_s=READ_DERIVED_S,
            reads_within_ms=SHOWN_WITHIN_MS,
        )
        self.gateway = Gateway(settings, bus, self.health)
        self.components: Sequence[Component] = (self.gateway,)


def build_app(settings: GatewaySettings) -> GatewayApp:
    return GatewayApp(settings)


def stream_settings(section: StreamSection) -> StreamSettings:
    return StreamSettings(
        max_connections=section.max_connections,
        max_connections_per_key=section.max_connections_per_key,
        max_subscriptions=section.max_subscriptions,
        max_frame_bytes=section.max_frame_bytes,
        recent_bytes=section.recent_bytes,
        auth_deadline_s=section.auth_deadline_s,
        ping_s=section.ping_s,
        drop_after_s=section.drop_after_s,
        recheck_keys_s=section.recheck_keys_s,
        outbox=OutboxLimits(
            max_bytes=section.max_waiting_bytes, warn_bytes=section.max_waiting_bytes // 2
        ),
        catch_up=CatchUpLimits(max_records=section.max_catch_up_records),
    )
