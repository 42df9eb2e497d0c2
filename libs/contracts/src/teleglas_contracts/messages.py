"""From a schema's name to its protobuf class: what a record's `schema` header says."""

from __future__ import annotations

from functools import cache

from google.protobuf.message import Message

from teleglas.bus.v1 import dead_letter_pb2
from teleglas.control.v1 import topic_pb2
from teleglas.market.v1 import (
    book_pb2,
    candle_pb2,
    gap_pb2,
    instrument_pb2,
    liquidation_pb2,
    progress_pb2,
    ticker_pb2,
    trade_pb2,
)
from teleglas.news.v1 import news_pb2
from teleglas.notification.v1 import notification_pb2
from teleglas.options_pb2 import volatile
from teleglas.prediction.v1 import prediction_pb2
from teleglas.signal.v1 import signal_pb2
from teleglas.whale.v1 import whale_pb2

__all__ = ["MESSAGES", "without_volatile"]

MESSAGES: dict[str, type[Message]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        book_pb2.BookUpdate,
        candle_pb2.Candle,
        candle_pb2.Summary,
        dead_letter_pb2.DeadLetter,
        gap_pb2.Gap,
        instrument_pb2.Instrument,
        liquidation_pb2.Liquidation,
        news_pb2.NewsEvent,
        news_pb2.NewsItem,
        notification_pb2.Delivery,
        prediction_pb2.Forecast,
        progress_pb2.Progress,
        signal_pb2.SignalScore,
        ticker_pb2.Ticker,
        topic_pb2.TopicEpoch,
        trade_pb2.TradeBatch,
        whale_pb2.WhaleAlert,
    )
}
"""Every message that a topic carries, by full name."""


def without_volatile(message: Message) -> Message:
    """Clear, in place and all the way down, the fields that may differ between two runs."""
    for field, value in message.ListFields():
        if _is_volatile(field):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                without_volatile(part)
    return message


@cache
def _is_volatile(field: object) -> bool:
    options = field.GetOptions()  # type: ignore[attr-defined]
    return bool(options.Extensions[volatile])
