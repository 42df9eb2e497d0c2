"""The simulator in this process, and ingest against it on an in-memory bus."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.message import Message

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter
from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.gap_pb2 import Gap
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import Trade, TradeBatch
from teleglas_common.bus.encode import decode
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Bus
from teleglas_common.bus.testing import read_all
from teleglas_common.settings import KafkaSection
from teleglas_contracts import topics
from teleglas_ingest.app import IngestApp
from teleglas_ingest.ports import Lease, Leases
from teleglas_ingest.settings import (
    BinanceSection,
    BinanceUsdmSection,
    IngestSection,
    OkxSection,
    Settings,
)
from teleglas_sim.settings import Settings as SimSettings
from teleglas_sim.simulator import Simulator

MARKET_TOPICS = [t for t in topics.ALL if ".market." in t.name]
SYMBOLS = {
    "binance": "BTC-USDT,ETH-USDT",
    "binance-usdm": "BTC-USDT-PERP",
    "okx": "BTC-USDT,BTC-USDT-PERP,BTC-USD-PERP",
}


class Topics:
    """What ingest wrote, decoded."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def messages(self, topic: str) -> list[Message]:
        found = await read_all(self._bus, topic)
        return [decode(record) for records in found.values() for record in records]

    async def trades(self) -> dict[str, list[Trade]]:
        trades: dict[str, list[Trade]] = defaultdict(list)
        for message in await self.messages(topics.MARKET_TRADES_V1.name):
            if isinstance(message, TradeBatch):
                trades[f"{message.venue}:{message.instrument}"] += message.trades
        return trades

    async def gaps(self) -> list[Gap]:
        found = await self.messages(topics.MARKET_GAPS_V1.name)
        return [message for message in found if isinstance(message, Gap)]

    async def books(self) -> dict[str, list[BookUpdate]]:
        books: dict[str, list[BookUpdate]] = defaultdict(list)
        for message in await self.messages(topics.MARKET_BOOKS_V1.name):
            if isinstance(message, BookUpdate):
                books[f"{message.venue}:{message.instrument}"].append(message)
        return books

    async def progress(self) -> list[Progress]:
        found = await self.messages(topics.MARKET_TRADES_V1.name)
        return [message for message in found if isinstance(message, Progress)]

    async def dead_letters(self) -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        for topic in MARKET_TOPICS:
            if topic.dead_letter is not None and topic.owner == "ingest":
                found = await self.messages(topic.dead_letter)
                letters += [message for message in found if isinstance(message, DeadLetter)]
        return letters


class SharedLeases:
    """Leases in memory that several apps contend for; they do not expire."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], Lease] = {}
        self._epochs: dict[tuple[str, int], int] = {}

    async def acquire(self, venue: str, shard: int, owner: str) -> Lease | None:
        key = venue, shard
        if key in self._held and self._held[key].owner != owner:
            return None
        self._epochs[key] = self._epochs.get(key, 0) + 1
        self._held[key] = Lease(venue, shard, owner, self._epochs[key])
        return self._held[key]

    async def renew(self, lease: Lease) -> bool:
        return self._held.get((lease.venue, lease.shard)) == lease

    async def release(self, lease: Lease) -> None:
        if await self.renew(lease):
            del self._held[lease.venue, lease.shard]


@pytest.fixture
def leases() -> SharedLeases:
    return SharedLeases()


class Venues:
    """The simulator's addresses and its faults."""

    def __init__(self, simulator: Simulator) -> None:
        self.urls = simulator.urls()

    async def fault(self, venue: str, **fault: Any) -> None:
        request = urllib.request.Request(  # noqa: S310
            f"{self.urls[venue]['rest']}/control/fault",
            data=json.dumps(fault).encode(),
            headers={"Content-Type": "application/json"},
        )
        await asyncio.to_thread(urllib.request.urlopen, request)

    async def newest_spot_trade(self, symbol: str) -> int:
        """The id of the last trade that binance's REST tells of."""
        url = f"{self.urls['binance']['rest']}/api/v3/trades?symbol={symbol}&limit=1"

        def ask() -> Any:
            with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310
                return json.load(response)

        return int((await asyncio.to_thread(ask))[-1]["id"])

    def settings(self, **ingest: Any) -> Settings:
        urls = self.urls

        def section(name: str) -> dict[str, Any]:
            return {
                "symbols": SYMBOLS[name],
                "ws_url": urls[name]["ws"],
                "rest_url": urls[name]["rest"],
            }

        return Settings(
            kafka=KafkaSection(bootstrap="unused:1"),
            binance=BinanceSection(**section("binance")),
            binance_usdm=BinanceUsdmSection(**section("binance-usdm")),
            okx=OkxSection(**section("okx")),
            ingest=IngestSection(**ingest),
        )


@pytest.fixture
async def venues() -> AsyncIterator[Venues]:
    simulator = Simulator(
        SimSettings(rate=400.0, instruments=12, whale_interval_s=2.0, cascade_interval_s=4.0),
        clock_ms=lambda: time.time_ns() // 1_000_000,
    )
    await simulator.start()
    yield Venues(simulator)
    await simulator.stop()


@pytest.fixture
async def bus() -> MemoryBus:
    made = MemoryBus()
    await made.create(topics.ALL)
    return made


@pytest.fixture
def written(bus: MemoryBus) -> Topics:
    return Topics(bus)


Running = Callable[..., Any]


@pytest.fixture
def ingest(bus: MemoryBus, venues: Venues) -> Running:
    @asynccontextmanager
    async def run(leases: Leases | None = None, **settings: Any) -> AsyncIterator[IngestApp]:
        app = IngestApp(venues.settings(**settings), bus)
        if leases is not None:
            app.database.leases = leases
        for part in app.components:
            await part.start()
        task = asyncio.create_task(app.venues.run())
        try:
            yield app
        finally:
            for part in reversed(app.components):
                await part.stop()
            await asyncio.wait_for(task, 10)

    return run
