"""What the stream and REST protocols of Binance's spot and futures markets have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from teleglas_ingest.domain.events import Basis, BookChange
from teleglas_ingest.domain.instrument import Market, Status
from teleglas_ingest.domain.numbers import RefusedError
from teleglas_ingest.ports import Ack, Control, Failure, Notice, Stream
from teleglas_ingest.venues.binance_levels import (
    LevelParser,
    Levels,
    general_parser,
    level_reader,
)
from teleglas_ingest.venues.schema import NS_PER_MS, Id, Millis

__all__ = [
    "BookBody",
    "Filter",
    "LevelParser",
    "RestError",
    "RestTrade",
    "book_change",
    "control",
    "frame_key",
    "level_parser",
    "parsed_key",
    "status",
    "step",
    "stream_key",
    "subscription",
]


class RestTrade(Struct):
    """One fill of `trades` and `historicalTrades`."""

    trade_id: Id = field(name="id")
    price: str
    quantity: str = field(name="qty")
    time_ms: Millis = field(name="time")
    buyer_is_maker: bool = field(name="isBuyerMaker")


class BookBody(Struct):
    """A depth snapshot; spot has no times."""

    last_update_id: Id = field(name="lastUpdateId")
    bids: msgspec.Raw
    asks: msgspec.Raw
    transaction_ms: int = field(name="T", default=0)


class Filter(Struct):
    """One entry of `exchangeInfo.symbols[].filters`; other kinds keep their defaults."""

    kind: str = field(name="filterType")
    tick_size: str = field(name="tickSize", default="")
    step_size: str = field(name="stepSize", default="")


class RestError(Struct):
    code: int
    message: str = field(name="msg")


class _Reply(Struct):
    result: Any = None
    id: Any = None
    code: Any = None
    msg: str = ""
    error: Any = None
    event: str = field(name="e", default="")
    stream: str = ""


_reply = msgspec.json.Decoder(_Reply)


def stream_key(stream: Stream) -> bytes:
    return stream.name.encode()


def frame_key(frame: bytes) -> bytes:
    """The stream's name out of a combined frame as the venue writes it."""
    return frame[11 : frame.find(b'"', 11)]


def parsed_key(frame: bytes) -> bytes | None:
    """The stream's name, whatever the order of the fields and the spaces between them."""
    return _reply.decode(frame).stream.encode() or None


def subscription(method: str, streams: Sequence[Stream], request_id: int) -> bytes:
    return msgspec.json.encode(
        {"method": method, "params": [stream.name for stream in streams], "id": request_id}
    )


def control(frame: bytes) -> Control | None:
    reply = _reply.decode(frame)
    request_id = reply.id if isinstance(reply.id, int) else None
    if reply.event == "serverShutdown" or reply.stream == "!serverShutdown":
        return Notice("the server is about to shut down")
    if reply.error is not None or reply.code is not None:
        fault = reply.error if isinstance(reply.error, dict) else {}
        code = fault.get("code", reply.code)
        return Failure(request_id, str(code), str(fault.get("msg", reply.msg)))
    if request_id is not None and not reply.stream:
        return Ack(request_id)
    return None


def level_parser(market: Market, price_places: int, size_places: int) -> LevelParser:
    """Raw JSON of bids and asks → their prices and sizes."""
    read, general = level_reader(price_places, size_places), general_parser(market)

    def parse(bids: msgspec.Raw, asks: msgspec.Raw) -> Levels:
        return read(bytes(bids) + b',"a":' + bytes(asks) + b"}}") or general(bids, asks)

    return parse


def book_change(market: Market, body: BookBody, parse: LevelParser, ts_ingest: int) -> BookChange:
    bid_prices, bid_sizes, ask_prices, ask_sizes = parse(body.bids, body.asks)
    ts_event = body.transaction_ms * NS_PER_MS
    return BookChange(
        market,
        True,
        body.last_update_id,
        body.last_update_id,
        -1,
        bid_prices,
        bid_sizes,
        ask_prices,
        ask_sizes,
        ts_event,
        Basis.TRANSACTION if ts_event else Basis.INGEST,
        ts_ingest,
    )


_STATUS = {
    "TRADING": Status.TRADING,
    "HALT": Status.HALTED,
    "BREAK": Status.HALTED,
    "CANCEL_ONLY": Status.HALTED,
    "PENDING_TRADING": Status.PRE_LISTING,
    "PRE_TRADING": Status.PRE_LISTING,
    "CLOSE": Status.EXPIRED,
    "SETTLING": Status.EXPIRED,
    "PRE_SETTLE": Status.EXPIRED,
    "DELIVERING": Status.EXPIRED,
    "DELIVERED": Status.EXPIRED,
    "PRE_DELIVERING": Status.EXPIRED,
}


def status(text: str) -> Status:
    return _STATUS.get(text, Status.HALTED)


def step(filters: Sequence[Filter], kind: str) -> str:
    """The step that a filter of `kind` sets."""
    for entry in filters:
        if entry.kind == kind:
            return entry.tick_size or entry.step_size
    raise RefusedError("no_filter", f"expected a filter {kind}, was {[f.kind for f in filters]}")
