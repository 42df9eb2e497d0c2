"""Frames and bodies of Binance USD-M futures, as docs/venues/binance.md describes them."""

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
    "ForceOrderFrame",
    "MarkPriceFrame",
    "OpenInterestBody",
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
    kind: str = field(name="X", default="MARKET")


class TradeFrame(Struct, gc=False):
    data: _Trade


class DepthFields(Struct, gc=False):
    """What stands before the levels."""

    event_ms: Millis = field(name="E")
    first_id: Id = field(name="U")
    final_id: Id = field(name="u")
    previous_final_id: Id = field(name="pu")
    transaction_ms: Millis | None = field(name="T", default=None)


class DepthHead(Struct, gc=False):
    """A depth frame up to its levels."""

    data: DepthFields


class _Depth(DepthFields, gc=False, kw_only=True):
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
    transaction_ms: Millis = field(name="T")


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


class TickerFrame(Struct, gc=False):
    data: _Ticker


class _MarkPrice(Struct, gc=False):
    event_ms: Millis = field(name="E")
    mark: str = field(name="p")
    index: str = field(name="i", default="")
    funding_rate: str = field(name="r", default="")
    next_funding_ms: int = field(name="T", default=0)


class MarkPriceFrame(Struct, gc=False):
    data: _MarkPrice


class _Order(Struct, gc=False):
    side: str = field(name="S")
    quantity: str = field(name="q")
    price: str = field(name="p")
    trade_ms: Millis = field(name="T")
    average_price: str = field(name="ap", default="")
    filled: str = field(name="z", default="")


class _ForceOrder(Struct, gc=False):
    order: _Order = field(name="o")


class ForceOrderFrame(Struct, gc=False):
    data: _ForceOrder


class OpenInterestBody(Struct):
    symbol: str
    open_interest: str = field(name="openInterest")
    time_ms: Millis | None = field(name="time", default=None)


class Symbol(Struct):
    symbol: str
    pair: str
    status: str
    contract_type: str = field(name="contractType")
    base: str = field(name="baseAsset")
    quote: str = field(name="quoteAsset")
    margin_asset: str = field(name="marginAsset")
    price_precision: int = field(name="pricePrecision")
    quantity_precision: int = field(name="quantityPrecision")
    filters: list[Filter]
    delivery_ms: int = field(name="deliveryDate", default=0)


class ExchangeInfo(Struct):
    symbols: list[Symbol]
