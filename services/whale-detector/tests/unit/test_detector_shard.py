"""A whole partition: the same alerts whatever the batches, the interleaving and the crashes."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from google.protobuf.message import Message
from whale_detector_rig import (
    BTC,
    BUY,
    Fill,
    Log,
    Rig,
    batch,
    batches,
    books,
    made_up_fills,
    mark,
)

from teleglas.market.v1.progress_pb2 import Progress
from teleglas.whale.v1.whale_pb2 import WHALE_KIND_SLICED, WHALE_KIND_SWEEP, WhaleAlert
from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import Outgoing, Record
from teleglas_contracts import topics

FILLS = made_up_fills()


def log_of(size: int, *, with_books: bool = True) -> Log:
    log = Log()
    log.add(topics.MARKET_TRADES_V1, batches(FILLS, size))
    if with_books:
        log.add(topics.MARKET_BOOKS_V1, books(FILLS[-1].ts_ms))
    return log


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    rig = Rig()
    rig.feed(log_of(4).side_by_side())
    kinds = {alert.kind for alert in rig.alerts}
    assert {WHALE_KIND_SWEEP, WHALE_KIND_SLICED} <= kinds
    return rig.last


@pytest.mark.parametrize("size", [1, 3, 64, 512])
def test_shard_with_other_batch_borders_gives_the_same_alerts(
    size: int, expected: dict[str, bytes]
) -> None:
    """What was in which record never changes an alert."""
    rig = Rig()
    rig.feed(log_of(size).side_by_side())
    assert rig.last == expected


@pytest.mark.parametrize("seed", range(3))
def test_shard_with_topics_interleaved_otherwise_gives_the_same_alerts(
    seed: int, expected: dict[str, bytes]
) -> None:
    """Which of two topics was read first never changes an alert."""
    rig, beside = Rig(), Rig()
    rig.feed(log_of(4).interleaved(seed))
    beside.feed(log_of(4).side_by_side())
    assert rig.last == expected
    assert known_when(rig.alerts) == known_when(beside.alerts)


@pytest.mark.parametrize("seed", range(3))
def test_shard_killed_at_random_places_gives_the_same_alerts(
    seed: int, expected: dict[str, bytes]
) -> None:
    """After each crash all is read again from what the table covers: nothing lost or counted
    twice.
    """
    rng = random.Random(seed)
    order = list(log_of(4).interleaved(seed))
    rig, at, written = Rig(), 0, 0
    rig.flush()
    while at < len(order):
        end = min(len(order), at + rng.randint(1, 400))
        rig.feed(order[at:end])
        at = end
        if rng.random() < 0.4:
            rig.flush()
            written = at
        if rng.random() < 0.4:
            positions = rig.restart()
            read_again = [
                record
                for record in order[:written]
                if record.offset >= positions.get(record.topic, 0) and record.topic in positions
            ]
            rig.feed(read_again)
            at = written
    assert rig.last == expected


def test_shard_given_covered_records_again_changes_nothing(expected: dict[str, bytes]) -> None:
    """An input at or below the covered offset is skipped."""
    order = list(log_of(4).side_by_side())
    rig = Rig()
    rig.feed(order)
    rig.flush()
    before = dict(rig.table)
    rig.feed(order)
    rig.flush()
    assert rig.table == before
    assert rig.last == expected


def test_shard_restored_and_dumped_gives_the_same_bytes() -> None:
    """Equal states give equal bytes."""
    order = list(log_of(4).side_by_side())
    rig = Rig()
    rig.feed(order[: len(order) * 2 // 3])
    rig.flush()
    before = dict(rig.table)
    rig.restart()
    rig.flush()
    assert rig.table == before


def announced_pieces() -> list[Fill]:
    """Orders that each cross by themselves before they can be told to be one parent's."""
    return [
        Fill(
            FILLS[-1].sequence + 1 + n, FILLS[-1].ts_ms + 200_000 + n * 900, BUY, 6_000_000, 920_000
        )
        for n in range(12)
    ]


def test_books_read_later_take_no_revision_away() -> None:
    """Until a parent takes over the alert of its first piece, that piece is known with what it was
    when it closed, also where the books had not come so far and its impacts are unknown.
    """
    log, pieces = log_of(4, with_books=False), announced_pieces()
    for piece in pieces:
        log.add(topics.MARKET_TRADES_V1, [batch([piece]), mark(piece.ts_ms + 500, [BTC])])
    log.add(topics.MARKET_TRADES_V1, [mark(pieces[-1].ts_ms + 120_000, [BTC])])
    log.add(topics.MARKET_BOOKS_V1, books(pieces[-1].ts_ms))
    beside, behind = Rig(), Rig()
    beside.feed(log.side_by_side())
    behind.feed(log.records[topics.MARKET_TRADES_V1.name])
    behind.feed(log.records[topics.MARKET_BOOKS_V1.name])
    assert known_when(behind.alerts) == known_when(beside.alerts)
    assert behind.last == beside.last
    first = [one for one in behind.alerts if one.first_trade_id == str(pieces[0].sequence)]
    assert [one.fills for one in first[:2]] == [1, 1]
    assert first[-1].fills == len(pieces)
    assert [one.ts_event for one in first] == sorted(one.ts_event for one in first)


def known_when(alerts: Iterable[WhaleAlert]) -> list[tuple[str, int, int, int]]:
    """What of an alert does not come from books, and from when it was known."""
    return sorted((one.id, one.ts_event, one.notional, one.fills) for one in alerts)


def test_alert_revisions_stand_in_order_of_time_and_before_the_marks() -> None:
    """No revision at or before a mark is written behind it."""
    rig = Rig()
    rig.feed(log_of(4).interleaved(5))
    said = 0
    last: dict[str, int] = {}
    for one in rig.out:
        message = decoded(one)
        if isinstance(message, Progress):
            said = max(said, message.ts_event)
            assert list(message.instruments) == [BTC]
        else:
            assert isinstance(message, WhaleAlert)
            assert message.ts_event > said
            assert message.ts_event > last.get(message.id, 0)
            last[message.id] = message.ts_event
    assert said > 0
    assert last


def decoded(one: Outgoing) -> Message:
    return decode(Record(one.topic, one.partition, 0, one.key, one.value, one.headers, 0))
