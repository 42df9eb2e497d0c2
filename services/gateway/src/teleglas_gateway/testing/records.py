"""Builders of messages, and writers of them."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message

from teleglas.market.v1 import book_pb2, candle_pb2, instrument_pb2, trade_pb2, types_pb2
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import Bus
from teleglas_contracts.topic import Topic
from teleglas_contracts.topics import MARKET_INSTRUMENTS_V1

__all__ = [
    "T0_NS",
    "book_delta",
    "book_snapshot",
    "candle",
    "instrument",
    "list_instruments",
    "publish",
    "trade_batch",
]

T0_NS = 1_767_225_600_000_000_000


def trade_batch(
    first: int,
    count: int = 1,
    *,
    venue: str = "binance",
    instrument: str = "BTC-USDT",
    source: str = "binance/0/trades-0",
    writer_epoch: int = 1,
) -> trade_pb2.TradeBatch:
    """Trades `first`, `first + 1`, … of one instrument, one a millisecond."""
    return trade_pb2.TradeBatch(
        venue=venue,
        instrument=instrument,
        price_exponent=-2,
        size_exponent=-5,
        contiguous=True,
        source=source,
        writer_epoch=writer_epoch,
        trades=[
            trade_pb2.Trade(
                id=str(number),
                sequence=number,
                kind=trade_pb2.TRADE_KIND_FILL,
                side=types_pb2.SIDE_BUY if number % 2 else types_pb2.SIDE_SELL,
                price=6_000_000 + number,
                size=1000 + number,
                ts_event=T0_NS + number * 1_000_000,
                ts_basis=types_pb2.TIME_BASIS_TRANSACTION,
                ts_ingest=T0_NS + number * 1_000_000 + 5,
                print=trade_pb2.PRINT_KIND_MARKET,
            )
            for number in range(first, first + count)
        ],
    )


def candle(
    minute: int, *, venue: str = "composite", instrument: str = "BTC-USDT"
) -> candle_pb2.Candle:
    ts_open = T0_NS + minute * 60_000_000_000
    return candle_pb2.Candle(
        venue=venue,
        instrument=instrument,
        interval="1m",
        ts_open=ts_open,
        ts_close=ts_open + 60_000_000_000,
        price_exponent=-2,
        size_exponent=-5,
        quote_exponent=-7,
        open=6_000_000,
        high=6_000_100,
        low=5_999_900,
        close=6_000_050,
        volume=123_456,
        quote_volume=7_407_360_000_00,
        trades=12,
        is_closed=True,
        completeness=1.0,
    )


def book_snapshot(
    sequence: int,
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
    *,
    epoch: int = 1,
) -> book_pb2.BookUpdate:
    return _book(book_pb2.BOOK_UPDATE_KIND_SNAPSHOT, sequence, list(bids), list(asks), epoch)


def book_delta(
    sequence: int,
    bids: Iterable[tuple[int, int]] = (),
    asks: Iterable[tuple[int, int]] = (),
    *,
    epoch: int = 1,
) -> book_pb2.BookUpdate:
    return _book(book_pb2.BOOK_UPDATE_KIND_DELTA, sequence, list(bids), list(asks), epoch)


def _book(
    kind: book_pb2.BookUpdateKind.ValueType,
    sequence: int,
    bids: list[tuple[int, int]],
    asks: list[tuple[int, int]],
    epoch: int,
) -> book_pb2.BookUpdate:
    return book_pb2.BookUpdate(
        venue="binance",
        instrument="BTC-USDT",
        kind=kind,
        book_epoch=epoch,
        sequence=sequence,
        prev_sequence=sequence - 1,
        price_exponent=-2,
        size_exponent=-5,
        bid_prices=[price for price, _ in bids],
        bid_sizes=[size for _, size in bids],
        ask_prices=[price for price, _ in asks],
        ask_sizes=[size for _, size in asks],
        ts_event=T0_NS + sequence,
        ts_basis=types_pb2.TIME_BASIS_EVENT,
    )


def instrument(
    venue: str = "binance",
    name: str = "BTC-USDT",
    kind: instrument_pb2.InstrumentKind.ValueType = instrument_pb2.INSTRUMENT_KIND_SPOT,
) -> instrument_pb2.Instrument:
    base, quote, *_ = name.split("-")
    return instrument_pb2.Instrument(
        venue=venue,
        instrument=name,
        venue_symbol=f"{base}{quote}",
        kind=kind,
        base=base,
        quote=quote,
        settle=quote,
        tick_size=types_pb2.Decimal(mantissa=1, exponent=-2),
        lot_size=types_pb2.Decimal(mantissa=1, exponent=-5),
        status=instrument_pb2.INSTRUMENT_STATUS_TRADING,
        price_exponent=-2,
        size_exponent=-5,
    )


async def publish(bus: Bus, topic: Topic, *messages: Message) -> None:
    """Append messages that name a venue and an instrument, as their writers would."""
    publisher = bus.publisher()
    await publisher.start()
    for message in messages:
        venue, name = message.venue, message.instrument  # type: ignore[attr-defined]
        interval = getattr(message, "interval", "")
        key = f"{venue}:{name}:{interval}" if interval else f"{venue}:{name}"
        await publisher.send(outgoing(topic, message, key=key, subject=name, now_ns=T0_NS))
    await publisher.stop()


async def list_instruments(bus: Bus, *messages: instrument_pb2.Instrument) -> None:
    await publish(bus, MARKET_INSTRUMENTS_V1, *messages)
