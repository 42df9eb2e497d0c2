"""What `record` asks of each venue: connections, subscriptions and REST addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from teleglas_sim.replay.streams import BINANCE, BINANCE_USDM, OKX, Channel, stream_of
from teleglas_sim.server.binance_usdm import is_public_stream

__all__ = ["DEFAULT_URLS", "PREFIXES", "Connection", "Plan", "Snapshot", "default_streams", "plan"]

DEFAULT_URLS = {
    BINANCE: ("wss://stream.binance.com:9443", "https://api.binance.com"),
    BINANCE_USDM: ("wss://fstream.binance.com", "https://fapi.binance.com"),
    OKX: ("wss://ws.okx.com:8443", "https://www.okx.com"),
}
PREFIXES = {BINANCE: "spot", BINANCE_USDM: "usdm", OKX: "okx"}
_BUSINESS = ("trades-all:", "candle")
_OKX_TYPE_CHANNELS = ("liquidation-orders", "instruments")


@dataclass(frozen=True, slots=True)
class Connection:
    """A WebSocket path, what is said on it first, and the text that keeps it alive."""

    path: str
    hello: bytes | None = None
    heartbeat: bytes | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A REST address whose answer goes into the file of `instrument`."""

    instrument: str
    path: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`once` is fetched at the start, `repeated` after each connect and then periodically."""

    connections: list[Connection]
    once: list[Snapshot]
    repeated: list[Snapshot]


def default_streams(venue: str, symbol: str) -> list[str]:
    """Trades, book and best quote of an instrument in the venue's stream names."""
    if venue == OKX:
        return [f"{channel}:{symbol}" for channel in ("trades-all", "books", "tickers")]
    return [f"{symbol.lower()}@{channel}" for channel in ("trade", "depth@100ms", "bookTicker")]


def plan(venue: str, streams: list[str]) -> Plan:
    """Raises `ValueError` for a venue that is not spoken."""
    if venue == OKX:
        return _okx_plan(streams)
    if venue not in DEFAULT_URLS:
        known = ", ".join(DEFAULT_URLS)
        raise ValueError(f"expected a venue of {known}, was {venue!r}")
    root = "/api/v3" if venue == BINANCE else "/fapi/v1"
    parsed = [stream_of(venue, name.encode()) for name in streams]
    symbols = dict.fromkeys(stream.symbol for stream in parsed if stream.symbol)
    books = dict.fromkeys(s.symbol for s in parsed if s.channel is Channel.DEPTH)
    return Plan(
        connections=_binance_connections(venue, streams),
        once=[Snapshot(symbol, f"{root}/exchangeInfo?symbol={symbol}") for symbol in symbols],
        repeated=[Snapshot(symbol, f"{root}/depth?symbol={symbol}&limit=1000") for symbol in books],
    )


def _binance_connections(venue: str, streams: list[str]) -> list[Connection]:
    if venue == BINANCE:
        return [Connection(f"/stream?streams={'/'.join(streams)}")]
    routes = {
        "public": [name for name in streams if is_public_stream(name)],
        "market": [name for name in streams if not is_public_stream(name)],
    }
    return [
        Connection(f"/{route}/stream?streams={'/'.join(names)}")
        for route, names in routes.items()
        if names
    ]


def _okx_plan(streams: list[str]) -> Plan:
    routes = {
        "public": [name for name in streams if not name.startswith(_BUSINESS)],
        "business": [name for name in streams if name.startswith(_BUSINESS)],
    }
    instruments = dict.fromkeys(
        rest
        for channel, _, rest in (name.partition(":") for name in streams)
        if channel not in _OKX_TYPE_CHANNELS
    )
    return Plan(
        connections=[
            Connection(f"/ws/v5/{route}", hello=_okx_hello(names), heartbeat=b"ping")
            for route, names in routes.items()
            if names
        ],
        once=[Snapshot(symbol, _okx_instruments_path(symbol)) for symbol in instruments],
        repeated=[],
    )


def _okx_hello(names: list[str]) -> bytes:
    args: list[dict[str, Any]] = []
    for name in names:
        channel, _, rest = name.partition(":")
        key = "instType" if channel in _OKX_TYPE_CHANNELS else "instId"
        args.append({"channel": channel, key: rest})
    return msgspec.json.encode({"op": "subscribe", "args": args})


def _okx_instruments_path(symbol: str) -> str:
    parts = symbol.split("-")
    kind = "SPOT" if len(parts) == 2 else "SWAP" if parts[-1] == "SWAP" else "FUTURES"
    return f"/api/v5/public/instruments?instType={kind}&instId={symbol}"
