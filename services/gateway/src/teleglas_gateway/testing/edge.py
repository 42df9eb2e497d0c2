"""A stream server over an in-memory bus, with fakes behind its ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Bus
from teleglas_common.telemetry import Metrics
from teleglas_contracts.topics import MARKET_INSTRUMENTS_V1
from teleglas_gateway.access import KeyAccess
from teleglas_gateway.adapters.watchers import StreamMetrics
from teleglas_gateway.channels import CHANNELS
from teleglas_gateway.channels.base import Channel
from teleglas_gateway.domain.authorize import ScopeAuthorizer
from teleglas_gateway.domain.symbols import Catalogue
from teleglas_gateway.ports import Forming
from teleglas_gateway.stream.assembly import Streams
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.testing.fakes import KEY, MemoryClaims, MemoryKeys, MemoryTickets, key_record
from teleglas_gateway.testing.records import instrument, list_instruments

__all__ = ["StreamEdge", "make_bus", "open_streams"]


@dataclass
class StreamEdge:
    """A running stream server and what stands behind it."""

    bus: Bus
    streams: Streams
    keys: MemoryKeys
    tickets: MemoryTickets
    metrics: Metrics


async def make_bus(bus: MemoryBus | None = None) -> MemoryBus:
    """A bus with every topic that the gateway reads and four instruments."""
    made = bus or MemoryBus()
    await made.create([MARKET_INSTRUMENTS_V1, *(channel.topic for channel in CHANNELS)])
    await list_instruments(
        made,
        instrument("binance", "BTC-USDT"),
        instrument("okx", "BTC-USDT"),
        instrument("binance", "ETH-USDT"),
        instrument("binance", "SOL-USDC"),
    )
    return made


@asynccontextmanager
async def open_streams(
    settings: StreamSettings,
    *,
    bus: Bus | None = None,
    forming: Forming | None = None,
    claims: MemoryClaims | None = None,
    channels: Sequence[Channel] = CHANNELS,
) -> AsyncIterator[StreamEdge]:
    """Run a stream server; `KEY` opens it. Raises if a part of it broke meanwhile."""
    keys, tickets, metrics = MemoryKeys(), MemoryTickets(), Metrics()
    await keys.add(key_record(KEY))
    log = bus or await make_bus()
    streams = await Streams.start(
        log,
        Catalogue("USDT"),
        KeyAccess(keys, tickets),
        ScopeAuthorizer(),
        keys,
        settings,
        StreamMetrics(metrics),
        claims=claims or MemoryClaims(),
        forming=forming,
        channels=channels,
    )
    running = asyncio.create_task(streams.run())
    try:
        yield StreamEdge(log, streams, keys, tickets, metrics)
        if running.done():
            running.result()
    finally:
        streams.server.say_goodbye()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await streams.stop()
