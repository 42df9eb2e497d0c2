"""Summaries do not depend on how the topics that they join interleave."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from market_data_frames import BTC, generated, quotes, stream
from market_data_rig import FakeLatest, FakeStore, raw

from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.candle_pb2 import Summary
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.types_pb2 import TIME_BASIS_TRANSACTION, Decimal
from teleglas_common.bus.encode import EVENT_ID, decode, header
from teleglas_common.bus.ports import Incoming, Outgoing, Record
from teleglas_common.clock import ManualClock
from teleglas_common.telemetry import Metrics
from teleglas_contracts import topics
from teleglas_contracts.messages import without_volatile
from teleglas_market_data.counts import Counts
from teleglas_market_data.domain.composite import Definition
from teleglas_market_data.live import Live
from teleglas_market_data.routes import ROUTES
from teleglas_market_data.shard import MarketShard, Tools

HANDLERS = {(route.topic.name, route.schema): route.handler for route in ROUTES}
SECOND_NS = 10**9


class Collected:
    """A publisher that keeps the last revision of each event, as consumers see it."""

    def __init__(self) -> None:
        self.summaries: dict[str, bytes] = {}

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def flush(self) -> None:
        """Everything is there."""

    async def send(self, record: Outgoing) -> None:
        if record.topic != topics.MARKET_SUMMARIES_V1.name:
            return
        event = header(record.headers, EVENT_ID)
        assert event is not None
        message = without_volatile(decode(_read(record, 0)))
        self.summaries[event.decode()] = message.SerializeToString(deterministic=True)


def _read(sent: Outgoing, offset: int) -> Record:
    return Record(sent.topic, sent.partition, offset, sent.key, sent.value, sent.headers, 0)


def inputs() -> dict[str, list[Outgoing]]:
    """Records of each topic, with trades, books and open interest that come behind their mark."""
    frames = generated(400)
    found: dict[str, list[Outgoing]] = {}
    trades = list(stream(frames, 2))
    for at in (50, 120):
        trades.insert(at + 60, trades.pop(at))
    for n, sent in enumerate([*trades, *quotes(frames)]):
        message = decode(_read(sent, 0))
        if isinstance(message, BookUpdate) and n % 37 == 0:
            message.ts_event -= 3 * SECOND_NS
            sent = raw(topics.MARKET_BOOKS_V1, message, BTC)  # noqa: PLW2901 - the same, but late
        found.setdefault(sent.topic, []).append(sent)
        if isinstance(message, Ticker) and n % 3 == 0:
            polled = Ticker(
                venue="binance", instrument=BTC, ts_event=message.ts_event - 4 * SECOND_NS,
                ts_basis=TIME_BASIS_TRANSACTION, source="binance/0/tickers-0", writer_epoch=1,
                open_interest=Decimal(mantissa=n, exponent=0),
            )  # fmt: skip
            found[sent.topic].append(raw(topics.MARKET_TICKERS_V1, polled, BTC))
    return found


async def run(order: Iterable[tuple[int, int]]) -> dict[str, bytes]:
    """Read so many records of a topic at a time, then what is left."""
    publisher = Collected()
    definition = Definition(1, {"binance": 1}, 60 * SECOND_NS, 10 * SECOND_NS)
    tools = Tools(
        FakeStore(), publisher, FakeLatest(), Live(), ManualClock(), Counts(Metrics()),
        7 * 86_400 * SECOND_NS, definition,
    )  # fmt: skip
    shard = MarketShard(0, tools)
    await shard.restore()
    logs = {topic: deque(enumerate(records)) for topic, records in sorted(inputs().items())}
    names = list(logs)
    for which, count in (*order, *((at, 10**6) for at in range(len(names)))):
        log = logs[names[which]]
        for _ in range(min(count, len(log))):
            offset, sent = log.popleft()
            record = _read(sent, offset)
            message = decode(record)
            await HANDLERS[record.topic, type(message)](shard, Incoming(message, record))
    return publisher.summaries


ORDERS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 120)), max_size=40)


@settings(max_examples=25, deadline=None)
@given(ORDERS, ORDERS)
def test_any_interleaving_of_the_topics_says_the_same_summaries(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    """Late trades, late books and polled quotes count at ticks of their own topic's progress."""
    expected = asyncio.run(run(one))
    assert len(expected) > 10
    assert asyncio.run(run(other)) == expected


def test_open_interest_that_is_polled_behind_the_mark_is_said() -> None:
    """A venue's number with an older time is late, not lost."""
    said = asyncio.run(run([(0, 50), (2, 20)] * 30))
    last = Summary.FromString(said[max(said, key=lambda event: int(event.rsplit(":", 1)[1]))])
    polled = [
        message.open_interest.mantissa
        for sent in inputs()[topics.MARKET_TICKERS_V1.name]
        if isinstance(message := decode(_read(sent, 0)), Ticker)
        and message.HasField("open_interest")
    ]
    assert last.open_interest == polled[-1]
