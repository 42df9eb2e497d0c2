"""Frames and bodies of Binance spot, as docs/venues/binance.md describes them."""

from __future__ import annotations

from msgspec import Raw, Struct, field

from teleglas_ingest.venues.binance_wire import Filter
from teleglas_ingest.venues.schema import Id, Millis

__all__ = [
    "BookTickerFrame",
    "DepthFields",
    "DepthFrame",
    "DepthHead",
    "ExchangeInfo",
    "Symbol",
    "TickerFrame",
    "TradeFrame",
]


class _Trade(Struct, gc=False):
    trade_id: Id = field(name="t")
    price: str = field(name="p")
    quantity: str = field(name="q")
    trade_ms: Millis = field(name="T")
    buyer_is_maker: bool = field(name="m")


class TradeFrame(Struct, gc=False):
    data: _Trade


class DepthFields(Struct, gc=False):
    """What stands before the levels."""

    event_ms: Millis = field(name="E")
    first_id: Id = field(name="U")
    final_id: Id = field(name="u")


class DepthHead(Struct, gc=False):
    """A depth frame up to its levels."""

    data: DepthFields


class _Depth(DepthFields, gc=False):
    bids: Raw = field(name="b")
    asks: Raw = field(name="a")


class DepthFrame(Struct, gc=False):
    data: _Depth


class _BookTicker(Struct, gc=False):
    update_id: Id = field(name="u")
    bid_price: str = field(name="b")
    bid_quantity: str = field(name="B")
    ask_price: str = field(name="a")
    ask_quantity: str = field(name="A")


class BookTickerFrame(Struct, gc=False):
    data: _BookTicker


class _Ticker(Struct, gc=False):
    event_ms: Millis = field(name="E")
    last: str = field(name="c")
    open: str = field(name="o")
    high: str = field(name="h")
    low: str = field(name="l")
    base_volume: str = field(name="v")
    quote_volume: str = field(name="q")
    bid_price: str = field(name="b")
    bid_quantity: str = field(name="B")
    ask_price: str = field(name="a")
    ask_quantity: str = field(name="A")


class TickerFrame(Struct, gc=False):
    data: _Ticker


class Symbol(Struct):
    symbol: str
    status: str
    base: str = field(name="baseAsset")
    quote: str = field(name="quoteAsset")
    filters: list[Filter]


class ExchangeInfo(Struct):
    symbols: list[Symbol]
