"""The REST API over fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from teleglas_common.clock import SystemClock
from teleglas_common.health import Health
from teleglas_common.principal import Signer
from teleglas_common.telemetry import Metrics
from teleglas_gateway.access import KeyAccess
from teleglas_gateway.adapters.backends import open_backends
from teleglas_gateway.adapters.principals import SignedMetadata
from teleglas_gateway.domain.authorize import ScopeAuthorizer
from teleglas_gateway.domain.limits import Quota
from teleglas_gateway.domain.symbols import Catalogue, Listing
from teleglas_gateway.ports import Backends
from teleglas_gateway.rest.api import build_api
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.models import StreamHealth
from teleglas_gateway.settings import GatewaySettings
from teleglas_gateway.testing.fakes import MemoryKeys, MemoryLimiter, MemoryTickets
from teleglas_gateway.testing.intelligence import Asked, serve_intelligence
from teleglas_gateway.testing.market import FakeMarketData
from teleglas_gateway.testing.records import T0_NS

__all__ = ["SECRET", "connected", "make_api"]

SECRET = "0123456789abcdef"  # noqa: S105  # signs principals of tests


def make_api(
    market: FakeMarketData, keys: MemoryKeys, limiter: MemoryLimiter, backends: Backends
) -> FastAPI:
    catalogue = Catalogue("USDT")
    for venue, name in (
        *(("binance", "BTC-USDT"), ("okx", "BTC-USDT"), ("okx", "BTC-USDT-PERP")),
        ("binance", "ETH-USDT"),
    ):
        catalogue.add(Listing(venue, name, "spot"))
    tickets = MemoryTickets()
    health = Health()
    health.ready()
    context = RestContext(
        catalogue=catalogue,
        market_data=market,
        backends=backends,
        access=KeyAccess(keys, tickets),
        authorizer=ScopeAuthorizer(),
        limiter=limiter,
        tickets=tickets,
        quota=Quota("default", 5, 60),
        refused_quota=Quota("refused", 3, 60),
        ticket_ttl_s=30,
        health=health,
        stream_facts=lambda: StreamHealth(status="ok", connections=0, instruments=2, behind_s=0.0),
        scored=lambda: ["BTC-USDT", "ETH-USDT"],
        metrics=lambda _accept: (b"# metrics\n", "text/plain"),
        now_ns=lambda: T0_NS,
    )
    return build_api(context, Metrics())


@asynccontextmanager
async def connected(asked: Asked) -> AsyncIterator[Backends]:
    """The clients of all four services, over real gRPC."""
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(serve_intelligence(asked))
        section = {"target": target, "deadline_s": 2.0}
        settings = GatewaySettings(
            kafka={"bootstrap": "none:1"},
            postgres={"dsn": "none"},
            redis={"url": "none"},
            market_data={"target": "none:1"},
            principal_secret=SECRET,
            whales=section,
            signals=section,
            predictions=section,
            notifications=section,
        )
        metadata = SignedMetadata(Signer([SECRET.encode()], SystemClock()))
        yield open_backends(settings, metadata, Metrics(), stack)
