"""Messages as people read them: one line each, scaled integers as decimals, times in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from teleglas.market.v1.book_pb2 import BookUpdate, BookUpdateKind
from teleglas.market.v1.candle_pb2 import Candle, Summary
from teleglas.market.v1.gap_pb2 import Gap, GapCause, GapResolution
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas.market.v1.types_pb2 import Channel, Side
from teleglas.notification.v1.notification_pb2 import Delivery, DeliveryStatus
from teleglas.prediction.v1.prediction_pb2 import Direction, Forecast
from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas.whale.v1.whale_pb2 import WhaleAlert, WhaleKind

__all__ = ["as_json", "pretty"]


def utc(ts_ns: int) -> str:
    """`2024-08-09 00:00:00.123` of a time in ns."""
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"


def number(mantissa: int, exponent: int) -> str:
    """The decimal that a scaled integer stands for, without an exponent."""
    return f"{Decimal(mantissa).scaleb(exponent):f}"


def as_json(message: Message) -> dict[str, Any]:
    """The message as protobuf's JSON form."""
    return json_format.MessageToDict(message)


def pretty(message: Message) -> list[str]:
    """The lines that tell a person what a message says."""
    match message:
        case TradeBatch():
            return _trades(message)
        case Candle():
            return [_candle(message)]
        case BookUpdate():
            return [_book(message)]
        case Ticker():
            return [_ticker(message)]
        case Summary():
            return [_summary(message)]
        case Gap():
            return [_gap(message)]
        case WhaleAlert():
            return [_alert(message)]
        case SignalScore():
            return [_score(message)]
        case Forecast():
            return [_forecast(message)]
        case Delivery():
            return [_delivery(message)]
        case Progress():
            return [f"{utc(message.ts_event)}  progress  {message.source}"]
        case _:
            return [json_format.MessageToJson(message, indent=None)]


def _market(message: Any) -> str:
    return f"{message.venue}:{message.instrument}"


def _trades(batch: TradeBatch) -> list[str]:
    return [
        f"{utc(trade.ts_event)}  {_market(batch):<28} {Side.Name(trade.side)[5:].lower():<4} "
        f"{number(trade.size, batch.size_exponent):>16} @ "
        f"{number(trade.price, batch.price_exponent):<14} #{trade.id}"
        for trade in batch.trades
    ]


def _candle(candle: Candle) -> str:
    prices = " ".join(
        number(price, candle.price_exponent)
        for price in (candle.open, candle.high, candle.low, candle.close)
    )
    extra = f" revision {candle.revision}" if candle.revision else ""
    extra += f" completeness {candle.completeness:.3f}" if candle.completeness < 1 else ""
    return (
        f"{utc(candle.ts_open)}  {_market(candle):<28} {candle.interval:<3} {prices} "
        f"volume {number(candle.volume, candle.size_exponent)} trades {candle.trades}{extra}"
    )


def _book(book: BookUpdate) -> str:
    kind = BookUpdateKind.Name(book.kind).rpartition("_")[2].lower()
    return (
        f"{utc(book.ts_event)}  {_market(book):<28} {kind:<8} {len(book.bid_prices)} bids "
        f"{len(book.ask_prices)} asks, sequence {book.prev_sequence} -> {book.sequence}"
    )


def _ticker(ticker: Ticker) -> str:
    present = {field.name: value for field, value in ticker.ListFields()}
    parts = [
        f"{name} {number(present[f'{name}_price'], ticker.price_exponent)}"
        for name in ("bid", "ask", "last", "mark")
        if f"{name}_price" in present
    ]
    if ticker.HasField("funding_rate"):
        rate = ticker.funding_rate
        parts.append(f"funding {number(rate.mantissa, rate.exponent)}")
    when = utc(ticker.ts_event or ticker.ts_ingest)
    return f"{when}  {_market(ticker):<28} {' '.join(parts)}"


def _summary(summary: Summary) -> str:
    change = f"{summary.change_24h:+.2%}" if summary.HasField("change_24h") else "n/a"
    return (
        f"{utc(summary.ts_event)}  {_market(summary):<28} "
        f"{number(summary.price, summary.price_exponent)} 24h {change} "
        f"volume {number(summary.volume_24h, summary.size_exponent)}"
    )


def _gap(gap: Gap) -> str:
    missing = f" {gap.first_missing}..{gap.last_missing}" if gap.last_missing else ""
    return (
        f"{utc(gap.ts_from)}  {_market(gap):<28} {Channel.Name(gap.channel)[8:].lower()} "
        f"{GapCause.Name(gap.cause)[10:].lower()}{missing} "
        f"{GapResolution.Name(gap.resolution)[15:].lower()} {gap.detail}".rstrip()
    )


def _alert(alert: WhaleAlert) -> str:
    state = "closed" if alert.is_closed else "open"
    return (
        f"{utc(alert.ts_event)}  {_market(alert):<28} {Side.Name(alert.side)[5:].lower():<4} "
        f"{number(alert.notional, alert.quote_exponent)} of "
        f"{number(alert.threshold, alert.quote_exponent)} "
        f"{WhaleKind.Name(alert.kind)[11:].lower()} {state} revision {alert.revision} #{alert.id}"
    )


def _score(score: SignalScore) -> str:
    parts = " ".join(f"{part.layer} {part.points:+.1f}" for part in score.receipt.contributions)
    missing = f" without {', '.join(score.receipt.missing)}" if score.receipt.missing else ""
    return (
        f"{utc(score.ts_event)}  {_market(score):<28} {score.score:+.1f} {score.stance} "
        f"confidence {score.confidence:.2f}: {parts}{missing}"
    )


def _forecast(forecast: Forecast) -> str:
    ranges = " ".join(
        f"{interval.coverage:.0%} {interval.lower:g}..{interval.upper:g}"
        for interval in forecast.intervals
    )
    return (
        f"{utc(forecast.ts_event)}  {_market(forecast):<28} "
        f"{forecast.horizon_ns // 1_000_000_000} s {forecast.reference_price:g} -> "
        f"{forecast.median:g} {ranges} {Direction.Name(forecast.direction)[10:].lower()} "
        f"{forecast.model}@{forecast.model_version}"
    )


def _delivery(delivery: Delivery) -> str:
    status = DeliveryStatus.Name(delivery.status)[16:].lower()
    return (
        f"{utc(delivery.ts_event)}  {delivery.tenant_id}:{delivery.subscriber_id:<20} "
        f"{delivery.channel} {status} after {delivery.attempts} of {delivery.event_id} "
        f"by {delivery.rule_id} {delivery.reason}".rstrip()
    )
