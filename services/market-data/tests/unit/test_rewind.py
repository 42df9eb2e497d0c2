"""A crash while the books are read again."""

from __future__ import annotations

from market_data_frames import BTC, MS, generated, quotes
from market_data_rig import FakeLatest, FakeStore

from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas_common.bus.encode import decode
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Incoming, Record
from teleglas_common.clock import ManualClock
from teleglas_common.telemetry import Metrics
from teleglas_contracts import topics
from teleglas_market_data.counts import Counts
from teleglas_market_data.domain.composite import Definition
from teleglas_market_data.handlers import on_book
from teleglas_market_data.live import Live
from teleglas_market_data.shard import MarketShard, Tools

BOOKS = topics.MARKET_BOOKS_V1.name


async def test_a_crash_during_a_rewind_keeps_what_the_checkpoint_covered() -> None:
    """The stored offset never falls back, and summaries wait for the whole rewind once more."""
    tools = Tools(
        FakeStore(), MemoryBus().publisher(), FakeLatest(), Live(), ManualClock(),
        Counts(Metrics()), 86_400_000 * MS, Definition(1, {"binance": 1}, 10**9, 10**9),
    )  # fmt: skip
    log = [
        Record(BOOKS, 0, n, sent.key, sent.value, sent.headers, 0)
        for n, sent in enumerate(s for s in quotes(generated(60)) if s.topic == BOOKS)
    ]

    async def read(shard: MarketShard, begin: int, end: int) -> None:
        for record in log[begin:end]:
            message = decode(record)
            if isinstance(message, BookUpdate):
                await on_book(shard, Incoming(message, record))

    first = MarketShard(0, tools)
    await first.restore()
    await read(first, 0, 40)
    await first.checkpoint({BOOKS: 40})
    second = MarketShard(0, tools)
    assert await second.restore() == {BOOKS: 0}
    await read(second, 0, 10)
    await second.checkpoint({BOOKS: 10})
    third = MarketShard(0, tools)
    assert await third.restore() == {BOOKS: 0}
    await read(third, 0, 20)
    assert BOOKS in third.marks.held
    await read(third, 20, 40)
    assert BOOKS not in third.marks.held
    assert third.book(("binance", BTC)) is not None
