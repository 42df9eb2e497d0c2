"""A gateway over an in-memory bus, with real sockets and fakes behind the ports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect

from teleglas_common.bus.memory import MemoryBus
from teleglas_common.health import Health
from teleglas_common.settings import HttpSection
from teleglas_common.telemetry import Metrics
from teleglas_gateway.access import KeyAccess
from teleglas_gateway.domain.authorize import ScopeAuthorizer
from teleglas_gateway.domain.limits import Quota
from teleglas_gateway.domain.symbols import Catalogue, Listing
from teleglas_gateway.rest.api import build_api
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.http import HttpServer
from teleglas_gateway.rest.models import StreamHealth
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.stream.protocol import stream_protocol
from teleglas_gateway.testing import (
    KEY,
    T0_NS,
    MemoryKeys,
    MemoryLimiter,
    MemoryTickets,
    key_record,
)
from teleglas_gateway.testing.edge import StreamEdge, make_bus, open_streams
from teleglas_gateway.testing.market import FakeMarketData


@dataclass
class Edge(StreamEdge):
    """A running stream server behind a port."""

    http: HttpServer

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.http.port}"

    @asynccontextmanager
    async def client(
        self, path: str = "/v1/stream", *, key: str | None = KEY, **options: Any
    ) -> AsyncIterator[Client]:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with connect(
            self.url + path, additional_headers=headers, compression=None, **options
        ) as socket:
            yield Client(socket)


class Client:
    """Sends commands and reads messages as JSON; heartbeats are left out."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, method: str, req_id: object = 1, **params: Any) -> None:
        await self.socket.send(json.dumps({"method": method, "params": params, "req_id": req_id}))

    async def send_until_closed(self, text: str) -> None:
        await self.socket.send(text)
        while True:
            await self.hear()

    async def hear(self, *types: str) -> dict[str, Any]:
        """The next message, or the next of these types."""
        while True:
            message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 10))
            if (types and message["type"] in types) or (
                not types and message["type"] not in ("heartbeat", "authenticated")
            ):
                return message


@asynccontextmanager
async def run_edge(bus: MemoryBus, settings: StreamSettings) -> AsyncIterator[Edge]:
    async with open_streams(settings, bus=bus) as inner:
        http = HttpServer(HttpSection(), FastAPI(), stream_protocol(inner.streams.server))
        await http.start()
        try:
            yield Edge(http=http, **vars(inner))
        finally:
            inner.streams.server.say_goodbye()
            await http.stop()


@pytest.fixture
async def bus() -> MemoryBus:
    return await make_bus()


@pytest.fixture
def stream_settings() -> StreamSettings:
    return StreamSettings(heartbeat_s=0.05, close_grace_s=0.5)


@pytest.fixture
async def edge(bus: MemoryBus, stream_settings: StreamSettings) -> AsyncIterator[Edge]:
    async with run_edge(bus, stream_settings) as running:
        yield running


@pytest.fixture
def edge_with(bus: MemoryBus) -> Callable[[StreamSettings], AbstractAsyncContextManager[Edge]]:
    """Another stream server on the same log, with settings of the test's own."""
    return lambda settings: run_edge(bus, settings)


@pytest.fixture
def market() -> FakeMarketData:
    return FakeMarketData()


@pytest.fixture
def keys() -> MemoryKeys:
    store = MemoryKeys()
    record = key_record(KEY)
    store.records[record.prefix] = record
    return store


@pytest.fixture
def limiter() -> MemoryLimiter:
    return MemoryLimiter()


@pytest.fixture
def api(market: FakeMarketData, keys: MemoryKeys, limiter: MemoryLimiter) -> FastAPI:
    catalogue = Catalogue("USDT")
    for venue, name in (("binance", "BTC-USDT"), ("okx", "BTC-USDT"), ("okx", "BTC-USDT-PERP")):
        catalogue.add(Listing(venue, name, "spot"))
    tickets = MemoryTickets()
    health = Health()
    health.ready()
    context = RestContext(
        catalogue=catalogue,
        market_data=market,
        access=KeyAccess(keys, tickets),
        authorizer=ScopeAuthorizer(),
        limiter=limiter,
        tickets=tickets,
        quota=Quota("default", 5, 60),
        refused_quota=Quota("refused", 3, 60),
        ticket_ttl_s=30,
        health=health,
        stream_facts=lambda: StreamHealth(status="ok", connections=0, instruments=2, behind_s=0.0),
        metrics=lambda: (b"# metrics\n", "text/plain"),
        now_ns=lambda: T0_NS,
    )
    return build_api(context, Metrics())
