"""From what market-data answers to what the REST API shows."""

from __future__ import annotations

from teleglas.market.v1 import candle_pb2, instrument_pb2, service_pb2, trade_pb2, types_pb2
from teleglas_gateway.channels.books import book_data
from teleglas_gateway.channels.candles import candle_data
from teleglas_gateway.channels.shared import enum_name
from teleglas_gateway.channels.summaries import summary_data
from teleglas_gateway.channels.tickers import ticker_data
from teleglas_gateway.channels.trades import trade_data
from teleglas_gateway.domain.numbers import (
    DECIMAL_STRINGS,
    decimal_string,
    iso_ms,
)
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.rest.models import (
    Book,
    Candle,
    Market,
    MarketTicker,
    Raw,
    Summary,
    Ticker,
    Trade,
)

__all__ = ["book", "candle", "market", "market_ticker", "raw", "trade"]


def market(instrument: instrument_pb2.Instrument) -> Market:
    return Market(
        symbol=instrument.instrument,
        venue=instrument.venue,
        venue_symbol=instrument.venue_symbol,
        kind=enum_name(
            instrument_pb2.InstrumentKind.DESCRIPTOR, instrument.kind, "INSTRUMENT_KIND_"
        ),
        base=instrument.base,
        quote=instrument.quote,
        settle=instrument.settle,
        inverse=instrument.inverse,
        contract_multiplier=_decimal(instrument, "contract_multiplier"),
        tick_size=_decimal(instrument, "tick_size"),
        lot_size=_decimal(instrument, "lot_size"),
        status=enum_name(
            instrument_pb2.InstrumentStatus.DESCRIPTOR, instrument.status, "INSTRUMENT_STATUS_"
        ),
        expiry=iso_ms(instrument.ts_expiry) if instrument.ts_expiry else None,
        strike=_decimal(instrument, "strike"),
    )


def market_ticker(
    answer: service_pb2.GetTickerResponse, venue: str, instrument: str, now_ns: int
) -> MarketTicker:
    """Raises `no_data` where neither summary nor ticker is known."""
    summary = summary_data(answer.summary, DECIMAL_STRINGS) if answer.HasField("summary") else None
    ticker = ticker_data(answer.ticker, DECIMAL_STRINGS) if answer.HasField("ticker") else None
    if summary is None and ticker is None:
        raise Problem(Code.NO_DATA, f"nothing is known of {instrument} on {venue} yet")
    newest_ns = max(part.ts_ns for part in (summary, ticker) if part is not None)
    return MarketTicker(
        symbol=instrument,
        venue=venue,
        timestamp=iso_ms(newest_ns or now_ns),
        summary=None if summary is None else Summary.model_validate(summary.data),
        ticker=None if ticker is None else Ticker.model_validate(ticker.data),
    )


def candle(message: candle_pb2.Candle) -> Candle:
    data = candle_data(message, DECIMAL_STRINGS).data
    data["venue"] = data.pop("exchange")
    return Candle.model_validate({"symbol": message.instrument, **data})


def trade(
    batch: trade_pb2.TradeBatch, message: trade_pb2.Trade, venue: str, instrument: str
) -> Trade:
    body = trade_data(batch, message, DECIMAL_STRINGS)
    data = body.data
    data["venue"] = data.pop("exchange") or venue
    return Trade.model_validate({"symbol": instrument, "timestamp": iso_ms(body.ts_ns), **data})


def book(answer: service_pb2.GetBookResponse, venue: str, instrument: str) -> Book:
    if not answer.HasField("book"):
        raise Problem(Code.NO_DATA, f"no book of {instrument} on {venue} is known yet")
    body = book_data(answer.book, DECIMAL_STRINGS)
    return Book.model_validate(
        {
            "symbol": instrument,
            "venue": venue,
            "timestamp": iso_ms(body.ts_ns),
            **{name: body.data[name] for name in ("book_epoch", "sequence", "bids", "asks")},
        }
    )


def raw(answer: service_pb2.GetTickerResponse, short_name: str) -> Raw:
    if not answer.HasField("summary"):
        raise Problem(Code.NO_DATA, f"nothing is known of {short_name} yet")
    body = summary_data(answer.summary, DECIMAL_STRINGS)
    data = {name: value for name, value in body.data.items() if name != "window_s"}
    return Raw.model_validate({"symbol": short_name, "timestamp": iso_ms(body.ts_ns), **data})


def _decimal(instrument: instrument_pb2.Instrument, name: str) -> str | None:
    if not instrument.HasField(name):  # type: ignore[arg-type]
        return None
    value: types_pb2.Decimal = getattr(instrument, name)
    return decimal_string(value.mantissa, value.exponent)
