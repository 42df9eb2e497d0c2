"""`summaries`: what a market looks like now, per venue and for the composite (`market_update`)."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from teleglas.market.v1 import candle_pb2
from teleglas_contracts.topics import MARKET_SUMMARIES_V1
from teleglas_gateway.channels.base import Body, Channel, Part, Policy
from teleglas_gateway.channels.shared import checked_subject
from teleglas_gateway.domain.numbers import Numbers
from teleglas_gateway.domain.positions import SubjectKey

__all__ = ["CHANNEL", "summary_data"]

NAME = "summaries"


class SummaryFold:
    def __init__(self) -> None:
        self._newest: dict[SubjectKey, candle_pb2.Summary] = {}

    def read(self, message: Message) -> Sequence[Part]:
        if not isinstance(message, candle_pb2.Summary):
            return ()
        subject = checked_subject(
            *(NAME, message.venue, message.instrument),
            *(message.price_exponent, message.size_exponent),
        )
        self._newest[subject] = message
        return (Part(subject, 0, message),)

    def current(self, subject: SubjectKey) -> candle_pb2.Summary | None:
        return self._newest.get(subject)


def summary_data(summary: candle_pb2.Summary, numbers: Numbers) -> Body:
    """`change_24h` is a fraction: 0.05 is +5 %."""

    def price(name: str) -> object:
        known = summary.HasField(name)  # type: ignore[arg-type]
        return numbers.exact(getattr(summary, name), summary.price_exponent) if known else None

    def statistic(name: str) -> object:
        known = summary.HasField(name)  # type: ignore[arg-type]
        return numbers.inexact(getattr(summary, name)) if known else None

    return Body(
        summary.ts_event,
        {
            "price": numbers.exact(summary.price, summary.price_exponent),
            "change_24h": statistic("change_24h"),
            "volume_24h": numbers.exact(summary.volume_24h, summary.size_exponent),
            "high_24h": numbers.exact(summary.high_24h, summary.price_exponent),
            "low_24h": numbers.exact(summary.low_24h, summary.price_exponent),
            "bid": price("bid"),
            "ask": price("ask"),
            "spread": price("spread"),
            "mark_price": price("mark_price"),
            "funding_rate": statistic("funding_rate"),
            "open_interest": statistic("open_interest"),
            "window_s": summary.window_s,
            "exchange": summary.venue,
        },
    )


CHANNEL = Channel(
    name=NAME,
    type="market_update",
    topic=MARKET_SUMMARIES_V1,
    policy=Policy.LATEST,
    lookback=2048,
    fold=SummaryFold,
    body=summary_data,
    aliases=("market_update", "market_updates", "summary"),
    has_composite=True,
    buries_poison=True,
)
