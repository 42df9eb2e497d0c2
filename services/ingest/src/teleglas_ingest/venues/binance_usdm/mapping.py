"""Binance USD-M frames and bodies → events. Sizes are base quantity, contracts are linear."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from teleglas_ingest.domain.events import (
    Basis,
    BookChange,
    Coverage,
    Event,
    Liquidation,
    Print,
    Side,
    SpentTradeId,
    Ticker,
    Trade,
)
from teleglas_ingest.domain.instrument import Instrument, Kind, Market
from teleglas_ingest.domain.numbers import Exact, RefusedError, exact, parser, rescale
from teleglas_ingest.ports import Route
from teleglas_ingest.venues.binance_levels import SIDES, general_parser, level_reader
from teleglas_ingest.venues.binance_usdm.schemas import (
    BookTickerFrame,
    DepthFields,
    DepthFrame,
    DepthHead,
    ForceOrderFrame,
    MarkPriceFrame,
    OpenInterestBody,
    Symbol,
    TickerFrame,
    TradeFrame,
)
from teleglas_ingest.venues.binance_wire import RestTrade, status, step
from teleglas_ingest.venues.schema import NS_PER_MS

__all__ = [
    "book_ticker_route",
    "depth_route",
    "force_order_route",
    "instrument",
    "mark_price_route",
    "open_interest",
    "rest_trade",
    "ticker_route",
    "trade_route",
]

MARK_PRICE_EXPONENT = -8
"""Mark and index prices are printed finer than the tick."""
SPENT = "NA"
"""An id that was used up without a print: its price and quantity are 0."""

_PRINTS = {
    "MARKET": Print.MARKET,
    "INSURANCE_FUND": Print.INSURANCE_FUND,
    "ADL": Print.AUTO_DELEVERAGING,
}
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}


def trade_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(TradeFrame).decode
    parse_price, parse_size = market.price, market.size
    last_text, last_price = "", 0

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        nonlocal last_text, last_price
        data = decode(frame).data
        kind = data.kind
        if kind == SPENT:
            return (SpentTradeId(market, data.trade_id, data.trade_ms * NS_PER_MS),)
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
                1 if kind == "MARKET" else _PRINTS.get(kind, Print.OTHER),
            ),
        )

    return route


def depth_route(market: Market) -> Route:
    whole = msgspec.json.Decoder(DepthFrame).decode
    head = msgspec.json.Decoder(DepthHead).decode
    instrument = market.instrument
    read = level_reader(-instrument.price_exponent, -instrument.size_exponent)
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
        transaction_ms = data.transaction_ms
        return (
            BookChange(
                market,
                False,
                data.first_id,
                data.final_id,
                data.previous_final_id,
                bid_prices,
                bid_sizes,
                ask_prices,
                ask_sizes,
                (transaction_ms or data.event_ms) * NS_PER_MS,
                1 if transaction_ms else 2,
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
                data.transaction_ms * NS_PER_MS,
                1,
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
    price = market.price

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
                last_price=price(data.last),
                open_24h=price(data.open),
                high_24h=price(data.high),
                low_24h=price(data.low),
                volume_24h=exact(data.base_volume),
                quote_volume_24h=exact(data.quote_volume),
            ),
        )

    return route


def mark_price_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(MarkPriceFrame).decode
    price = parser(MARK_PRICE_EXPONENT, most=10**10)

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        data = decode(frame).data
        next_ms = data.next_funding_ms
        return (
            Ticker(
                market,
                MARK_PRICE_EXPONENT,
                market.instrument.size_exponent,
                data.event_ms * NS_PER_MS,
                Basis.EVENT,
                ts_ingest,
                mark_price=price(data.mark),
                index_price=price(data.index) if data.index else None,
                funding_rate=exact(data.funding_rate) if data.funding_rate else None,
                ts_next_funding=next_ms * NS_PER_MS if next_ms > 0 else None,
            ),
        )

    return route


def force_order_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(ForceOrderFrame).decode
    exponent = market.instrument.price_exponent

    def average(text: str) -> int | None:
        """The average price, rounded down to the price exponent: an average has any digits."""
        value = exact(text) if text else Exact(0, 0)
        if value.exponent < exponent:
            value = Exact(value.mantissa // 10 ** (exponent - value.exponent), exponent)
        return rescale(value, exponent) or None

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        order = decode(frame).data.order
        side = _SIDES.get(order.side)
        size = market.size(order.quantity)
        if side is None or not size:
            raise RefusedError("not_an_order", f"expected BUY or SELL of a size, was {order}")
        return (
            Liquidation(
                market,
                side,
                market.price(order.price),
                size,
                order.trade_ms * NS_PER_MS,
                Basis.TRANSACTION,
                ts_ingest,
                Coverage.SAMPLED,
                average_price=average(order.average_price),
                filled_size=market.size(order.filled) if order.filled else None,
            ),
        )

    return route


def open_interest(market: Market, body: OpenInterestBody, ts_ingest: int) -> Ticker:
    ts_event = body.time_ms * NS_PER_MS if body.time_ms else 0
    return Ticker(
        market,
        market.instrument.price_exponent,
        market.instrument.size_exponent,
        ts_event,
        Basis.EVENT if ts_event else Basis.INGEST,
        ts_ingest,
        open_interest=exact(body.open_interest),
    )


def rest_trade(market: Market, row: RestTrade, ts_ingest: int) -> Trade:
    """REST lists market trades only: insurance fund and liquidated positions are left out."""
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
    tick = exact(step(row.filters, "PRICE_FILTER"))
    lot = exact(step(row.filters, "LOT_SIZE"))
    symbol = f"{row.base}-{row.quote}"
    perpetual = "PERPETUAL" in row.contract_type
    expiry_ns = 0
    if perpetual:
        symbol += "-PERP"
    else:
        expiry = datetime.fromtimestamp(row.delivery_ms / 1000, UTC)
        symbol += f"-{expiry:%Y%m%d}"
        expiry_ns = row.delivery_ms * NS_PER_MS
    return Instrument(
        venue=venue,
        symbol=symbol,
        venue_symbol=row.symbol,
        kind=Kind.PERPETUAL if perpetual else Kind.FUTURE,
        base=row.base,
        quote=row.quote,
        settle=row.margin_asset,
        tick_size=tick,
        lot_size=lot,
        status=status(row.status),
        price_exponent=min(-row.price_precision, tick.exponent, 0),
        size_exponent=min(-row.quantity_precision, lot.exponent, 0),
        contract_multiplier=Exact(1, 0),
        ts_expiry=expiry_ns,
    )
