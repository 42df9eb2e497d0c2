"""Records that nobody can handle, of every kind that a topic may meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.candle_pb2 import Candle, Summary
from teleglas.market.v1.gap_pb2 import Gap
from teleglas.market.v1.instrument_pb2 import Instrument
from teleglas.market.v1.liquidation_pb2 import Liquidation
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.trade_pb2 import Trade, TradeBatch
from teleglas_common.bus.encode import SCHEMA
from teleglas_common.bus.ports import Headers
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic

__all__ = ["INSTRUMENT", "Poison", "poisons", "trade", "whole"]

INSTRUMENT = "BTC-POISON"
NAMES: Any = {"venue": "binance", "instrument": INSTRUMENT}
TS = 1_700_000_000_000_000_000
UNKNOWN: Any = {"id": "1", "channel": 70_000}
FIRST: dict[str, type[Message]] = {
    "teleglas.market.trades.v1": TradeBatch,
    "teleglas.market.books.v1": BookUpdate,
    "teleglas.market.tickers.v1": Ticker,
    "teleglas.market.liquidations.v1": Liquidation,
    "teleglas.market.gaps.v1": Gap,
    "teleglas.market.instruments.v1": Instrument,
    "teleglas.market.candles.v1": Candle,
    "teleglas.market.summaries.v1": Summary,
}


@dataclass(frozen=True, slots=True)
class Poison:
    """`cause` is what it must be buried for."""

    kind: str
    value: bytes | None
    headers: Headers
    cause: str


def trade(**changed: object) -> Trade:
    fields: dict[str, Any] = {"id": "1", "sequence": 1, "kind": 1, "side": 1, "price": 100}
    fields |= {"size": 5, "ts_event": TS, "ts_basis": 1, "print": 1}
    return Trade(**(fields | changed))


def whole(*trades: Trade, **changed: object) -> TradeBatch:
    """A batch with nothing wrong in it."""
    fields: dict[str, Any] = {**NAMES, "price_exponent": -2, "size_exponent": -5}
    fields |= {"source": "binance/poison/0", "writer_epoch": 1, "trades": trades or (trade(),)}
    return TradeBatch(**(fields | changed))


def progress(**changed: object) -> Progress:
    fields: dict[str, Any] = {"venue": "binance", "source": "binance/poison/0", "ts_event": TS}
    return Progress(**(fields | changed))


IMPOSSIBLE: dict[str, tuple[tuple[str, Callable[[], Message], str], ...]] = {
    "teleglas.market.trades.v1": (
        ("negative price", lambda: whole(trade(price=-1)), "impossible_trade"),
        ("size of nothing", lambda: whole(trade(size=0)), "impossible_trade"),
        ("no time", lambda: whole(trade(ts_event=0)), "impossible_trade"),
        ("huge scale", lambda: whole(price_exponent=1_000_000), "impossible_exponent"),
        ("no venue", lambda: whole(venue=""), "incomplete_batch"),
        ("NUL in an id", lambda: whole(trade(id="a\0b")), "impossible_trade"),
        ("NUL in a name", lambda: whole(instrument="BTC-\0"), "incomplete_batch"),
        ("sequence beyond 63 bits", lambda: whole(trade(sequence=2**64 - 1)), "impossible_trade"),
        ("size of no market", lambda: whole(trade(size=2**63 - 1)), "impossible_trade"),
        ("side that is none", lambda: whole(trade(side=70_000)), "impossible_trade"),
        ("mark without a source", lambda: progress(source=""), "impossible_progress"),
        ("mark before time", lambda: progress(ts_event=-5), "impossible_progress"),
    ),
    "teleglas.market.books.v1": (
        ("no instrument", lambda: BookUpdate(venue="binance"), "incomplete_book"),
        (
            "uneven sides",
            lambda: BookUpdate(**NAMES, bid_prices=[1, 2], bid_sizes=[1]),
            "uneven_book",
        ),
        (
            "negative size",
            lambda: BookUpdate(**NAMES, ask_prices=[1], ask_sizes=[-1]),
            "impossible_book",
        ),
    ),
    "teleglas.market.tickers.v1": (
        ("no venue", lambda: Ticker(instrument=INSTRUMENT), "incomplete_ticker"),
        ("NUL in a name", lambda: Ticker(venue="a\0", instrument="b"), "incomplete_ticker"),
        ("huge scale", lambda: Ticker(**NAMES, price_exponent=-1_000_000), "impossible_exponent"),
        ("negative price", lambda: Ticker(**NAMES, bid_price=-1), "impossible_ticker"),
    ),
    "teleglas.market.liquidations.v1": (
        ("no id", lambda: Liquidation(**NAMES, price=1, size=1), "impossible_liquidation"),
        (
            "size of nothing",
            lambda: Liquidation(**NAMES, id="1", price=1, size=0),
            "impossible_liquidation",
        ),
        (
            "NUL in an id",
            lambda: Liquidation(**NAMES, id="a\0b", price=1, size=1, ts_event=TS),
            "impossible_liquidation",
        ),
    ),
    "teleglas.market.gaps.v1": (
        ("no id", lambda: Gap(**NAMES), "incomplete_gap"),
        ("no instrument", lambda: Gap(id="1", venue="binance"), "incomplete_gap"),
        ("NUL in an id", lambda: Gap(**NAMES, id="a\0b"), "incomplete_gap"),
        ("unknown channel", lambda: Gap(**NAMES, **UNKNOWN), "impossible_gap"),
    ),
    "teleglas.market.instruments.v1": (
        ("no base", lambda: Instrument(**NAMES), "incomplete_instrument"),
        (
            "no venue",
            lambda: Instrument(instrument=INSTRUMENT, base="BTC"),
            "incomplete_instrument",
        ),
        ("NUL in a base", lambda: Instrument(**NAMES, base="B\0"), "incomplete_instrument"),
    ),
    "teleglas.market.candles.v1": (
        ("no venue", lambda: Candle(interval="1m", instrument=INSTRUMENT), "bad_subject"),
        ("unknown interval", lambda: Candle(**NAMES, interval="7m"), "bad_interval"),
        ("huge scale", lambda: Candle(**NAMES, interval="1m", price_exponent=99), "bad_exponent"),
    ),
    "teleglas.market.summaries.v1": (
        ("no venue", lambda: Summary(instrument=INSTRUMENT), "bad_subject"),
        ("huge scale", lambda: Summary(**NAMES, size_exponent=99), "bad_exponent"),
    ),
}


def poisons(topic: Topic) -> Iterator[Poison]:
    """One of each kind that this topic may meet."""
    kind = FIRST[topic.name]
    schema = kind.DESCRIPTOR.full_name.encode()
    named: Headers = ((SCHEMA, schema),)
    if not topic.compacted:
        yield Poison("tombstone", None, named, "missing_value")
    yield Poison("no schema", b"\x0a\x01a", (), "missing_schema")
    yield Poison("unknown schema", b"\x0a\x01a", ((SCHEMA, b"teleglas.No.Such"),), "unknown_schema")
    yield Poison("binary schema", b"\x0a\x01a", ((SCHEMA, b"\xff\0\xfe"),), "unknown_schema")
    foreign = topics.DEAD_LETTER_SCHEMA.encode()
    yield Poison("foreign schema", b"\x0a\x01a", ((SCHEMA, foreign),), "foreign_schema")
    yield Poison("garbage", b"\xff" * 64, named, "decode_failed")
    yield Poison("truncated", b"\x0a\x7fbin", named, "decode_failed")
    yield Poison("text that is none", b"\x0a\x02\xff\xfe", named, "decode_failed")
    yield Poison("nested groups", b"\x0b" * 500, named, "decode_failed")
    for name, make, cause in IMPOSSIBLE[topic.name]:
        message = make()
        own: Headers = ((SCHEMA, message.DESCRIPTOR.full_name.encode()),)
        yield Poison(name, message.SerializeToString(), own, cause)
