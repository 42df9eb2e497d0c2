"""Thousands of records that nobody can handle, on every topic of a running product."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from functools import partial

import pytest

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter
from teleglas_cli.commands.topics import read_to_end
from teleglas_cli.up.product import Product
from teleglas_common.bus.dead_letter import twin
from teleglas_common.bus.encode import REDRIVES, header, outgoing
from teleglas_common.bus.ports import Outgoing, Record
from teleglas_common.bus.redrive import redrive
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from tests.support.log import dead_letters
from tests.support.poison import INSTRUMENT, Poison, poisons, trade, whole
from tests.support.product import connected, held, started
from tests.support.stream import following

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

EACH = 1_000
"""Poison records a topic, at least."""
MARK = "poison-number"
BURIED_BY_GATEWAY = (topics.MARKET_CANDLES_V1, topics.MARKET_SUMMARIES_V1)
BURIED = (
    *BURIED_BY_GATEWAY,
    topics.MARKET_TRADES_V1,
    topics.MARKET_BOOKS_V1,
    topics.MARKET_TICKERS_V1,
    topics.MARKET_LIQUIDATIONS_V1,
    topics.MARKET_GAPS_V1,
    topics.MARKET_INSTRUMENTS_V1,
)
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")


async def poisoned(product: Product, topic: Topic) -> list[Poison]:
    """Put at least EACH records of all kinds on the partitions of live instruments."""
    kinds = list(poisons(topic))
    assert len(kinds) >= 10
    sent = list(itertools.islice(itertools.cycle(kinds), EACH - EACH % len(kinds) + len(kinds)))
    publisher = product.bus.publisher()
    await publisher.start()
    for number, poison in enumerate(sent):
        partition = topic.partition(SYMBOLS[number % len(SYMBOLS)])
        headers = (*poison.headers, (MARK, b"%d" % number))
        await publisher.send(Outgoing(topic.name, partition, b"poison", poison.value, headers))
    await publisher.stop()
    return sent


async def marked(product: Product, topic: Topic) -> dict[int, Record]:
    """The poison records of a topic as the log holds them, without redriven ones."""
    found = {}
    async for record in read_to_end(product.bus, topic):
        number = header(record.headers, MARK)
        if number is not None and header(record.headers, REDRIVES) is None:
            found[int(number)] = record
    return found


def number_of(letter: DeadLetter) -> int:
    return next(int(h.value) for h in letter.headers if h.name == MARK)


def buried_by(topic: Topic) -> str:
    return "gateway" if topic in BURIED_BY_GATEWAY else "market-data/market-data"


async def assert_buried(product: Product, topic: Topic, sent: list[Poison]) -> None:
    """Each has exactly one dead letter of the topic's first reader, with where it was, its bytes
    and why; other readers bury what they cannot take in letters of their own.
    """
    found = [one for one in await dead_letters(product.bus, topic) if not one.redrives]
    consumer = buried_by(topic)
    letters = [one for one in found if one.consumer == consumer]
    others = Counter((one.consumer, number_of(one)) for one in found if one.consumer != consumer)
    assert set(others.values()) <= {1}
    by_number = {number_of(letter): letter for letter in letters}
    missing = Counter(p.kind for n, p in enumerate(sent) if n not in by_number)
    assert not missing, f"{topic.name}: expected a dead letter of each, none of {missing}"
    assert len(letters) == len(sent)
    records = await marked(product, topic)
    wrong: Counter[tuple[str, str, str]] = Counter()
    for number, poison in enumerate(sent):
        letter, record = by_number[number], records[number]
        place = (letter.topic, letter.partition, letter.offset)
        assert place == (topic.name, record.partition, record.offset)
        assert letter.value == (poison.value or b"")
        assert letter.key == b"poison"
        assert [(h.name, h.value) for h in letter.headers] == list(record.headers)
        assert letter.detail
        if letter.cause != poison.cause:
            wrong[poison.kind, poison.cause, letter.cause] += 1
    assert not wrong, f"{topic.name}: other causes than expected: {wrong}"


async def test_poison_is_buried_and_the_partitions_go_on(product):
    """A thousand of each topic: dead letters are whole, nothing restarts, redrive sends back."""
    before = started(product)
    async with following(product, SYMBOLS) as client:
        await eventually(lambda: client.taken > 5, timeout_s=30)
        began = time.monotonic()
        sent = {topic.name: await poisoned(product, topic) for topic in BURIED}
        for topic in BURIED:
            await eventually(
                partial(assert_buried, product, topic, sent[topic.name]),
                timeout_s=90,
                every_s=1.0,
            )
        took_s = time.monotonic() - began
        candles = await held(product, topics.MARKET_CANDLES_V1)
        taken = client.taken

        async def assert_goes_on() -> None:
            assert await held(product, topics.MARKET_CANDLES_V1) > candles
            assert client.taken > taken

        await eventually(assert_goes_on, timeout_s=30, every_s=0.2)
        await assert_redriven(product, sent[topics.MARKET_TRADES_V1.name])
    assert not client.faults
    assert not client.refusals
    assert started(product) == before
    total = sum(map(len, sent.values()))
    kinds = len({poison.kind for some in sent.values() for poison in some})
    print(f"{total} poison records of {kinds} kinds buried in {took_s:.1f} s")  # noqa: T201


async def assert_redriven(product: Product, sent: list[Poison]) -> None:
    """Sent back, poison comes again with one more redrive; what is whole by now is handled."""
    topic = topics.MARKET_TRADES_V1
    batch = whole(trade(id="redriven", sequence=77))
    good = outgoing(topic, batch, key=f"binance:{INSTRUMENT}", subject=INSTRUMENT, now_ns=1)
    letter = DeadLetter(
        topic=topic.name,
        partition=good.partition,
        offset=1,
        key=good.key or b"",
        value=good.value or b"",
        cause="mended",
        detail="a fault of ours that is mended",
        consumer="market-data/market-data",
    )
    for name, value in good.headers:
        letter.headers.add(name=name, value=value)
    publisher = product.bus.publisher()
    await publisher.start()
    await publisher.send(outgoing(twin(topic), letter, key="mended", subject="mended", now_ns=1))
    await publisher.flush()
    report = await redrive(product.bus, publisher, twin(topic).name)
    assert sum(report.sent.values()) == len(sent) + 1
    again = await redrive(product.bus, publisher, twin(topic).name, causes=["mended"])
    assert sum(again.sent.values()) == 0
    await publisher.stop()

    async def assert_came_back() -> None:
        letters = await dead_letters(product.bus, topic)
        first = [one for one in letters if one.consumer == buried_by(topic)]
        assert sum(one.redrives == 1 for one in first) == len(sent)
        async with connected(product) as database:
            row = await database.fetchrow(
                "SELECT * FROM market_data.trades WHERE trade_id = 'redriven'"
            )
        assert row is not None

    await eventually(assert_came_back, timeout_s=60, every_s=0.5)
