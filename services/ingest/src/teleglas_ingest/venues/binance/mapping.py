"""Binance spot frames and bodies → events. Prices and sizes keep the venue's own eight decimals."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from teleglas_ingest.domain.events import Basis, BookChange, Event, Side, Ticker, Trade
from teleglas_ingest.domain.instrument import Instrument, Kind, Market
from teleglas_ingest.domain.numbers import RefusedError, exact
from teleglas_ingest.ports import Route
from teleglas_ingest.venues.binance.schemas import (
    BookTickerFrame,
    DepthFields,
    DepthFrame,
    DepthHead,
    Symbol,
    TickerFrame,
    TradeFrame,
)
from teleglas_ingest.venues.binance_levels import SIDES, general_parser, level_reader
from teleglas_ingest.venues.binance_wire import RestTrade, status, step
from teleglas_ingest.venues.schema import NS_PER_MS

__all__ = [
    "PLACES",
    "book_ticker_route",
    "depth_route",
    "instrument",
    "rest_trade",
    "ticker_route",
    "trade_route",
]

PLACES = 8
"""Every price and quantity of this venue is printed with eight decimals."""
WHOLE_LOT_PLACES = 4
"""Coins that trade in whole units come in sizes that eight decimals would not fit into 64 bits."""


def trade_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(TradeFrame).decode
    parse_price, parse_size = market.price, market.size
    last_text, last_price = "", 0

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        nonlocal last_text, last_price
        data = decode(frame).data
        if data.price != last_text:
            last_price = parse_price(data.price)
            last_text = data.price
        size = parse_size(data.quantity)
        if not size:
            raise RefusedError("not_positive", f"expected a size above 0, trade {data.trade_id}")
        return (
            Trade(
                market,
                data.trade_id,
                2 if data.buyer_is_maker else 1,
                last_price,
                size,
                data.trade_ms * NS_PER_MS,
                ts_ingest,
            ),
        )

    return route


def depth_route(market: Market) -> Route:
    whole = msgspec.json.Decoder(DepthFrame).decode
    head = msgspec.json.Decoder(DepthHead).decode
    read = level_reader(PLACES, -market.instrument.size_exponent)
    general = general_parser(market)

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        at = frame.find(SIDES)
        # Two braces: what is open where the levels begin is `data` itself.
        levels = read(frame[at + 5 :]) if frame.count(b"{", 0, at) == 2 else None
        data: DepthFields
        if levels is None:
            body = whole(frame).data
            levels = general(body.bids, body.asks)
            data = body
        else:
            data = head(frame[:at] + b"}}").data
        bid_prices, bid_sizes, ask_prices, ask_sizes = levels
        return (
            BookChange(
                market,
                False,
                data.first_id,
                data.final_id,
                -1,
                bid_prices,
                bid_sizes,
                ask_prices,
                ask_sizes,
                data.event_ms * NS_PER_MS,
                2,
                ts_ingest,
            ),
        )

    return route


def book_ticker_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(BookTickerFrame).decode
    parse_price, parse_size = market.price, market.size
    price_exponent = market.instrument.price_exponent
    size_exponent = market.instrument.size_exponent
    bid_text = bid_size_text = ask_text = ask_size_text = ""
    bid = bid_size = ask = ask_size = 0

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        nonlocal bid_text, bid_size_text, ask_text, ask_size_text, bid, bid_size, ask, ask_size
        data = decode(frame).data
        if data.bid_price != bid_text:
            bid = parse_price(data.bid_price)
            bid_text = data.bid_price
        if data.bid_quantity != bid_size_text:
            bid_size = parse_size(data.bid_quantity)
            bid_size_text = data.bid_quantity
        if data.ask_price != ask_text:
            ask = parse_price(data.ask_price)
            ask_text = data.ask_price
        if data.ask_quantity != ask_size_text:
            ask_size = parse_size(data.ask_quantity)
            ask_size_text = data.ask_quantity
        return (
            Ticker(
                market,
                price_exponent,
                size_exponent,
                0,
                3,
                ts_ingest,
                data.update_id,
                bid,
                bid_size,
                ask,
                ask_size,
            ),
        )

    return route


def ticker_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(TickerFrame).decode
    price, size = market.price, market.size

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        data = decode(frame).data
        return (
            Ticker(
                market,
                market.instrument.price_exponent,
                market.instrument.size_exponent,
                data.event_ms * NS_PER_MS,
                Basis.EVENT,
                ts_ingest,
                bid_price=price(data.bid_price),
                bid_size=size(data.bid_quantity),
                ask_price=price(data.ask_price),
                ask_size=size(data.ask_quantity),
                last_price=price(data.last),
                open_24h=price(data.open),
                high_24h=price(data.high),
                low_24h=price(data.low),
                volume_24h=exact(data.base_volume),
                quote_volume_24h=exact(data.quote_volume),
            ),
        )

    return route


def rest_trade(market: Market, row: RestTrade, ts_ingest: int) -> Trade:
    size = market.size(row.quantity)
    if not size:
        raise RefusedError("not_positive", f"expected a size above 0, trade {row.trade_id}")
    return Trade(
        market,
        row.trade_id,
        Side.SELL if row.buyer_is_maker else Side.BUY,
        market.price(row.price),
        size,
        row.time_ms * NS_PER_MS,
        ts_ingest,
        backfilled=True,
    )


def instrument(venue: str, row: Symbol) -> Instrument:
    lot = exact(step(row.filters, "LOT_SIZE"))
    whole = lot.exponent >= 0
    return Instrument(
        venue=venue,
        symbol=f"{row.base}-{row.quote}",
        venue_symbol=row.symbol,
        kind=Kind.SPOT,
        base=row.base,
        quote=row.quote,
        settle=row.quote,
        tick_size=exact(step(row.filters, "PRICE_FILTER")),
        lot_size=lot,
        status=status(row.status),
        price_exponent=-PLACES,
        size_exponent=-WHOLE_LOT_PLACES if whole else -PLACES,
    )
