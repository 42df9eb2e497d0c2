"""Which venue and which stream a recorded frame belongs to, told from its first bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

import msgspec

from teleglas_sim.replay.records import CaptureError, Kind, Recorded

__all__ = [
    "BINANCE",
    "BINANCE_USDM",
    "OKX",
    "Channel",
    "Stream",
    "stream_key",
    "stream_of",
    "venue_of",
]

BINANCE = "binance"
BINANCE_USDM = "binance-usdm"
OKX = "okx"

_HOSTS = {
    "stream.binance.com": BINANCE,
    "data-stream.binance.vision": BINANCE,
    "api.binance.com": BINANCE,
    "data-api.binance.vision": BINANCE,
    "fstream.binance.com": BINANCE_USDM,
    "fapi.binance.com": BINANCE_USDM,
    "ws.okx.com": OKX,
    "www.okx.com": OKX,
}
_COMBINED = b'{"stream":"'
_OKX_ARG = b'{"arg":'
_DEPTH_DIFF = re.compile(r"depth(@\d+ms)?")
_MARK_PRICE = re.compile(r"markPrice(@\d+s)?")


class Channel(Enum):
    """The channels that the replay answers REST questions from; all others are only passed on."""

    DEPTH = "depth"
    TRADES = "trades"
    AGG_TRADES = "agg-trades"
    OPEN_INTEREST = "open-interest"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Stream:
    """One recorded stream.

    `name` is the venue's own (`btcusdt@depth@0ms`, `books:BTC-USDT`); `family` is the name without
    the update speed, under which a request for another speed is served; `symbol` is empty where a
    stream carries several instruments.
    """

    venue: str
    name: str
    family: str
    symbol: str
    channel: Channel


def venue_of(name: str, records: Iterable[Recorded]) -> str | None:
    """The venue whose recording this is, or None while nothing in `records` decides.

    Raises `CaptureError` for a venue that the replay does not speak.
    """
    for record in records:
        if record.url:
            host = urlsplit(record.url).hostname or ""
            if host not in _HOSTS:
                raise CaptureError(
                    f"{name}: expected a recording of binance, binance-usdm or okx, was of {host}"
                )
            return _HOSTS[host]
        venue = _venue_by_shape(record)
        if venue is not None:
            return venue
    return None


def _venue_by_shape(record: Recorded) -> str | None:
    payload = record.payload
    if record.kind is Kind.ANSWER:
        if payload.startswith(b'{"lastUpdateId"'):
            return BINANCE_USDM if b'"E":' in payload[:80] else BINANCE
        return OKX if payload.startswith(b'{"code"') else None
    if payload.startswith(_OKX_ARG):
        return OKX
    return _venue_of_event(payload) if payload.startswith(_COMBINED) else None


def _venue_of_event(payload: bytes) -> str | None:
    """USD-M and spot share their envelope; fields that only one of them sends tell them apart."""
    event = payload[payload.find(b'"data":') + 7 :]
    if event.startswith(b'{"u":'):
        return BINANCE
    for mark, alone in (
        (b'"e":"depthUpdate"', b'"pu":'),
        (b'"e":"bookTicker"', b'"e":'),
        (b'"e":"markPriceUpdate"', b'"e":'),
        (b'"e":"forceOrder"', b'"e":'),
    ):
        if mark in event[:40]:
            return BINANCE_USDM if alone in event else BINANCE
    for mark, alone in (
        (b'"e":"trade"', b'"M":'),
        (b'"e":"aggTrade"', b'"M":'),
        (b'"e":"24hrTicker"', b'"x":'),
    ):
        if mark in event[:40]:
            return BINANCE if alone in event else BINANCE_USDM
    return None


def stream_key(payload: bytes) -> bytes | None:
    """The bytes that name the stream of a data frame: equal for all frames of one stream.

    None for acknowledgements, errors and pongs, which a server says anew to each client.
    """
    if payload.startswith(_COMBINED):
        return payload[len(_COMBINED) : payload.index(b'"', len(_COMBINED))]
    if payload.startswith(_OKX_ARG):
        return payload[len(_OKX_ARG) : payload.index(b"}") + 1]
    return None


def stream_of(venue: str, key: bytes) -> Stream:
    """The stream that a key of `stream_key` names."""
    return _okx_stream(key) if venue == OKX else _binance_stream(venue, key.decode())


def binance_family(name: str) -> str:
    """A stream name without its update speed: `…@depth@100ms` and `…@depth@0ms` are one."""
    symbol, _, rest = name.partition("@")
    if _DEPTH_DIFF.fullmatch(rest):
        return f"{symbol}@depth"
    if _MARK_PRICE.fullmatch(rest):
        return f"{symbol}@markPrice"
    return name


def _binance_stream(venue: str, name: str) -> Stream:
    family = binance_family(name)
    symbol, _, rest = family.partition("@")
    channel = {
        "depth": Channel.DEPTH,
        "trade": Channel.TRADES,
        "aggTrade": Channel.AGG_TRADES,
    }.get(rest, Channel.OTHER)
    return Stream(venue, name, family, "" if symbol.startswith("!") else symbol.upper(), channel)


def okx_name(arg: dict[str, str]) -> str:
    """The name of an OKX subscription argument: `books:BTC-USDT`, `liquidation-orders:SWAP`."""
    rest = arg.get("instId") or arg.get("instFamily") or arg.get("instType") or ""
    return f"{arg.get('channel', '')}:{rest}"


def _okx_stream(key: bytes) -> Stream:
    arg = msgspec.json.decode(key, type=dict[str, str])
    name = okx_name(arg)
    channel = {
        "books": Channel.DEPTH,
        "trades": Channel.TRADES,
        "trades-all": Channel.TRADES,
        "open-interest": Channel.OPEN_INTEREST,
    }.get(arg.get("channel", ""), Channel.OTHER)
    return Stream(OKX, name, name, arg.get("instId", ""), channel)
