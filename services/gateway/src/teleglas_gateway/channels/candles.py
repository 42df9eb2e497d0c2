"""`candles`: closed and revised candles; those still forming join from market-data, outside the
sequence, with `is_closed: false`.
"""

from __future__ import annotations

from google.protobuf.message import Message

from teleglas.market.v1 import candle_pb2
from teleglas_common.bus.ports import PoisonError
from teleglas_contracts.topics import MARKET_CANDLES_V1
from teleglas_gateway.channels.base import Body, Channel, Policy
from teleglas_gateway.channels.shared import EachMessage, checked_subject
from teleglas_gateway.domain.numbers import Numbers, iso_ms
from teleglas_gateway.domain.positions import SubjectKey

__all__ = ["CHANNEL", "INTERVALS", "candle_data", "candle_subject"]

NAME = "candles"
INTERVALS = ("1s", "1m", "5m", "15m", "1h", "4h", "1d", "1w")


def candle_subject(message: Message) -> SubjectKey | None:
    if not isinstance(message, candle_pb2.Candle):
        return None
    if message.interval not in INTERVALS:
        raise PoisonError("bad_interval", f"expected one of {INTERVALS}, was {message.interval!r}")
    return checked_subject(
        *(NAME, message.venue, message.instrument, message.price_exponent),
        *(message.size_exponent, message.quote_exponent),
        interval=message.interval,
    )


def candle_data(candle: candle_pb2.Candle, numbers: Numbers) -> Body:
    def price(mantissa: int) -> object:
        return numbers.exact(mantissa, candle.price_exponent)

    return Body(
        candle.ts_open,
        {
            "interval": candle.interval,
            "open_time": iso_ms(candle.ts_open),
            "close_time": iso_ms(candle.ts_close),
            "open": price(candle.open),
            "high": price(candle.high),
            "low": price(candle.low),
            "close": price(candle.close),
            "volume": numbers.exact(candle.volume, candle.size_exponent),
            "quote_volume": numbers.exact(candle.quote_volume, candle.quote_exponent),
            "taker_buy_volume": numbers.exact(candle.taker_buy_volume, candle.size_exponent),
            "taker_buy_quote_volume": numbers.exact(
                candle.taker_buy_quote_volume, candle.quote_exponent
            ),
            "trades": candle.trades,
            "is_closed": candle.is_closed,
            "revision": candle.revision,
            "completeness": numbers.inexact(candle.completeness),
            "missing_trades": candle.missing_trades,
            "exchange": candle.venue,
        },
    )


CHANNEL = Channel(
    name=NAME,
    type="candle",
    topic=MARKET_CANDLES_V1,
    policy=Policy.LOSSLESS,
    lookback=16_384,
    fold=lambda: EachMessage(candle_subject),
    body=candle_data,
    aliases=("candle",),
    has_composite=True,
    intervals=INTERVALS,
    default_intervals=("1m",),
    snapshot_messages=1,
    buries_poison=True,
)
