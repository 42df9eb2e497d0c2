"""`tickers`: a venue's own ticker, whole, whenever a part of it changes."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from teleglas.market.v1 import ticker_pb2, types_pb2
from teleglas_contracts.topics import MARKET_TICKERS_V1
from teleglas_gateway.channels.base import Body, Channel, Part, Policy
from teleglas_gateway.channels.shared import checked_subject, event_time, ts_basis
from teleglas_gateway.domain.fences import WriterFence
from teleglas_gateway.domain.numbers import Numbers
from teleglas_gateway.domain.positions import SubjectKey

__all__ = ["CHANNEL", "merged", "ticker_data"]

NAME = "tickers"
_DECIMALS = ("funding_rate", "open_interest", "volume_24h", "quote_volume_24h")
_PRICES = (
    *("bid_price", "ask_price", "last_price", "mark_price", "index_price"),
    *("open_24h", "high_24h", "low_24h"),
)
_SIZES = ("bid_size", "ask_size")


class TickerFold:
    """Keeps each instrument's ticker whole: a record names only what changed."""

    def __init__(self) -> None:
        self._fence = WriterFence()
        self._whole: dict[SubjectKey, ticker_pb2.Ticker] = {}

    def read(self, message: Message) -> Sequence[Part]:
        if not isinstance(message, ticker_pb2.Ticker):
            return ()
        if not self._fence.admits(message.source, message.writer_epoch):
            return ()
        decimals = [getattr(message, name).exponent for name in _DECIMALS]
        subject = checked_subject(
            *(NAME, message.venue, message.instrument),
            *(message.price_exponent, message.size_exponent, *decimals),
        )
        known = self._whole.get(subject)
        whole = self._whole[subject] = message if known is None else merged(known, message)
        return (Part(subject, 0, whole),)

    def current(self, subject: SubjectKey) -> ticker_pb2.Ticker | None:
        return self._whole.get(subject)


def merged(known: ticker_pb2.Ticker, change: ticker_pb2.Ticker) -> ticker_pb2.Ticker:
    """A ticker with a change laid over it. A new message: one that is written again and again
    grows, as protobuf frees no string that was replaced before it frees the message.

    A Decimal goes over as a whole: protobuf would keep the old mantissa where the new one is 0. A
    change of scale drops the numbers of the old scale.
    """
    whole = ticker_pb2.Ticker()
    whole.CopyFrom(known)
    rescaled = (known.price_exponent, known.size_exponent) != (
        change.price_exponent,
        change.size_exponent,
    )
    stale = [name for name in (*_PRICES, *_SIZES) if rescaled]
    for name in (*stale, *(name for name in _DECIMALS if change.HasField(name))):  # type: ignore[arg-type]
        whole.ClearField(name)  # type: ignore[arg-type]
    whole.price_exponent, whole.size_exponent = change.price_exponent, change.size_exponent
    whole.ts_event, whole.ts_basis = change.ts_event, change.ts_basis
    whole.MergeFrom(change)
    return whole


def ticker_data(ticker: ticker_pb2.Ticker, numbers: Numbers) -> Body:
    data: dict[str, object] = {"exchange": ticker.venue}
    for name in _PRICES:
        data[name] = _scaled(ticker, name, ticker.price_exponent, numbers)
    for name in _SIZES:
        data[name] = _scaled(ticker, name, ticker.size_exponent, numbers)
    for name in _DECIMALS:
        data[name] = _decimal(ticker, name, numbers)
    data["ts_next_funding"] = (
        str(ticker.ts_next_funding) if ticker.HasField("ts_next_funding") else None
    )
    data["ts_event"] = str(ticker.ts_event) if ticker.ts_event else None
    data["ts_basis"] = ts_basis(ticker)
    return Body(event_time(ticker), data)


def _scaled(ticker: ticker_pb2.Ticker, name: str, exponent: int, numbers: Numbers) -> object:
    known = ticker.HasField(name)  # type: ignore[arg-type]
    return numbers.exact(getattr(ticker, name), exponent) if known else None


def _decimal(ticker: ticker_pb2.Ticker, name: str, numbers: Numbers) -> object:
    if not ticker.HasField(name):  # type: ignore[arg-type]
        return None
    value: types_pb2.Decimal = getattr(ticker, name)
    return numbers.exact(value.mantissa, value.exponent)


CHANNEL = Channel(
    name=NAME,
    type="ticker",
    topic=MARKET_TICKERS_V1,
    policy=Policy.LATEST,
    lookback=4096,
    fold=TickerFold,
    body=ticker_data,
    received_ns=lambda payload: int(payload.ts_ingest),
    aliases=("ticker",),
)
