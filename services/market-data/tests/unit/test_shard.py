"""The service on the in-memory bus: captures, crashes, batch borders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from market_data_captures import batches, counted_candles, progress, spot_trades
from market_data_rig import FakeStore, Rig, events, last_candles, raw

from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas_common.bus.ports import Outgoing
from teleglas_common.testing.realdata import realdata
from teleglas_contracts import topics

BTC = "BTC-USDT"
MS = 1_000_000


def capture() -> list[dict[str, Any]]:
    folder = realdata("captures", "binance")
    return spot_trades([folder / f"spot_btcusdt_2024080{day}.gz" for day in (8, 9)])


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
            venue="binance", instrument=BTC, kind=1 if n % 200 == 0 else 2, book_epoch=1,
            sequence=10 + n, prev_sequence=9 + n, price_exponent=-2, size_exponent=-8,
            bid_prices=[bid], bid_sizes=[n % 4], ask_prices=[6_103_000 + n % 6],
            ask_sizes=[5], ts_event=ts, ts_basis=1, source="binance/0/books-0", writer_epoch=1,
        )  # fmt: skip
        yield raw(topics.MARKET_BOOKS_V1, book, BTC)
        if n % 10 == 0:
            ticker = Ticker(
                venue="binance", instrument=BTC, price_exponent=-3, ts_event=ts, ts_basis=1,
                mark_price=bid * 10 + n, source="binance/0/tickers-0", writer_epoch=1,
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


@pytest.mark.realdata
async def test_candles_of_the_capture_equal_an_independent_count() -> None:
    """Every candle over midnight equals what the raw frames say, exactly, and is complete."""
    frames = capture()
    rig = Rig()
    await rig.create()
    await rig.send(stream(frames, 7))
    await rig.drain()
    candles = await last_candles(rig.bus)
    for interval in ("1s", "1m", "5m", "15m", "1h", "4h", "1d"):
        expected = counted_candles(frames, interval)
        found = {
            ts: candle
            for (market, name, ts), candle in candles.items()
            if market == f"binance:{BTC}" and name == interval and candle.trades
        }
        assert {ts: values(candle) for ts, candle in found.items()} == expected
        assert all(candle.completeness == 1.0 for candle in found.values())
    assert isinstance(rig.store, FakeStore)
    assert len(rig.store.trades) == len(frames)


async def test_crashes_and_other_batch_borders_leave_the_same_events() -> None:
    """A run that is killed again and again ends with the events of one that was not."""
    frames = generated()
    calm = Rig()
    await calm.create()
    await calm.send([*stream(frames, 64), *quotes(frames)])
    await calm.drain()
    rough = Rig(checkpoint_s=0.001, turn_records=3)
    await rough.create()
    await rough.send([*stream(frames, 5), *quotes(frames)])
    for saves in (1, 3, 2, 5, 1, 4):
        await rough.run_and_crash(saves)
    await rough.drain()
    for topic in (topics.MARKET_CANDLES_V1, topics.MARKET_SUMMARIES_V1):
        expected = await events(calm.bus, topic)
        assert len(expected) > 50
        assert await events(rough.bus, topic) == expected
    assert isinstance(rough.store, FakeStore)
    assert isinstance(calm.store, FakeStore)
    assert rough.store.trades == calm.store.trades
    assert rough.store.repeated == 0
