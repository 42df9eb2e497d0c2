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
from teleglas_common.settings import HttpSection
from teleglas_gateway.ports import Backends
from teleglas_gateway.rest.http import HttpServer
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.stream.protocol import stream_protocol
from teleglas_gateway.testing import (
    KEY,
    MemoryKeys,
    MemoryLimiter,
    key_record,
)
from teleglas_gateway.testing.edge import StreamEdge, make_bus, open_streams
from teleglas_gateway.testing.intelligence import Asked
from teleglas_gateway.testing.market import FakeMarketData
from teleglas_gateway.testing.rest import connected, make_api


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
    """A gateway beside market-data alone."""
    return make_api(market, keys, limiter, Backends())


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def whole_api(
    market: FakeMarketData, keys: MemoryKeys, limiter: MemoryLimiter, asked: Asked
) -> AsyncIterator[FastAPI]:
    """A gateway beside all services."""
    limiter.unlimited = True
    async with connected(asked) as backends:
        yield make_api(market, keys, limiter, backends)
