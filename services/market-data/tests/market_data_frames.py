"""Made-up frames of the captures' shape, and the records that a feed would write of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from market_data_captures import batches, progress
from market_data_rig import raw

from teleglas.market.v1.book_pb2 import BOOK_UPDATE_KIND_DELTA as DELTA
from teleglas.market.v1.book_pb2 import BOOK_UPDATE_KIND_SNAPSHOT as SNAPSHOT
from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.types_pb2 import TIME_BASIS_TRANSACTION
from teleglas_common.bus.ports import Outgoing
from teleglas_contracts import topics

__all__ = ["BTC", "MS", "generated", "quotes", "stream", "values"]

BTC = "BTC-USDT"
MS = 1_000_000


def generated(count: int = 3_000) -> list[dict[str, Any]]:
    """Frames of the same shape: 40 ms apart on average, in bursts, over a midnight."""
    ts, price, frames = 1_723_161_540_000, 6_100_000, []
    for n in range(count):
        ts += (n * 7919) % 81
        price += (n * 104_729) % 7 - 3
        frames.append(
            {
                "t": 1_000 + n, "p": str(Decimal(price) / 100), "q": "0.0150", "T": ts,
                "E": ts + 1, "m": n % 3 == 0,
            }
        )  # fmt: skip
    return frames


def stream(frames: Sequence[dict[str, Any]], size: int) -> Iterator[Outgoing]:
    """Records of a feed with a mark every 50 batches, each behind what it promises."""
    for at, batch in enumerate(batches(frames, BTC, size)):
        yield raw(topics.MARKET_TRADES_V1, batch, BTC)
        if at % 50 == 49:
            mark = progress(batch.trades[-1].ts_event - 1, [BTC])
            yield raw(topics.MARKET_TRADES_V1, mark, BTC)
    last = max(frame["T"] for frame in frames) * MS
    day = 86_400_000 * MS
    yield raw(topics.MARKET_TRADES_V1, progress(last - last % day + day, [BTC]), BTC)


def quotes(frames: Sequence[dict[str, Any]]) -> Iterator[Outgoing]:
    """A book with a snapshot every 200 updates, a ticker now and then, and their marks."""
    bid = 6_099_000
    for n, frame in enumerate(frames):
        ts = frame["T"] * MS
        bid += n % 5 - 2
        book = BookUpdate(
            venue="binance", instrument=BTC, kind=SNAPSHOT if n % 200 == 0 else DELTA, book_epoch=1,
            sequence=10 + n, prev_sequence=9 + n, price_exponent=-2, size_exponent=-8,
            bid_prices=[bid], bid_sizes=[n % 4], ask_prices=[6_103_000 + n % 6],
            ask_sizes=[5], ts_event=ts, ts_basis=TIME_BASIS_TRANSACTION,
            source="binance/0/books-0", writer_epoch=1,
        )  # fmt: skip
        yield raw(topics.MARKET_BOOKS_V1, book, BTC)
        if n % 10 == 0:
            ticker = Ticker(
                venue="binance", instrument=BTC, price_exponent=-3, ts_event=ts,
                ts_basis=TIME_BASIS_TRANSACTION, mark_price=bid * 10 + n,
                source="binance/0/tickers-0", writer_epoch=1,
            )  # fmt: skip
            yield raw(topics.MARKET_TICKERS_V1, ticker, BTC)
        if n % 50 == 49 or n == len(frames) - 1:
            until = ts - 1 if n < len(frames) - 1 else ts + 3600 * 10**9
            for topic in (topics.MARKET_BOOKS_V1, topics.MARKET_TICKERS_V1):
                source = f"binance/0/{topic.name.split('.')[2]}-0"
                yield raw(topic, progress(until, [BTC], source=source), BTC)


def values(candle: Candle) -> tuple[Decimal, ...]:
    def scaled(mantissa: int, exponent: int) -> Decimal:
        return Decimal(mantissa).scaleb(exponent)

    prices = (candle.open, candle.high, candle.low, candle.close)
    return (
        *(scaled(price, candle.price_exponent) for price in prices),
        scaled(candle.volume, candle.size_exponent),
        scaled(candle.quote_volume, candle.quote_exponent),
        scaled(candle.taker_buy_volume, candle.size_exponent),
        Decimal(candle.trades),
    )
