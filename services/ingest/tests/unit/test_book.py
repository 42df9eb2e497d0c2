from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleglas_ingest.domain.book import BookSync, SyncState
from teleglas_ingest.domain.continuity import ChainRule, Continuity, JoinRule, RangeRule
from teleglas_ingest.domain.events import BookChange, GapCause
from teleglas_ingest.testing import spot

MARKET = spot()


def change(
    first: int,
    last: int,
    prev: int = -1,
    *,
    bids: dict[int, int] | None = None,
    asks: dict[int, int] | None = None,
    snapshot: bool = False,
    ts: int = 1,
) -> BookChange:
    bids, asks = bids or {}, asks or {}
    return BookChange(
        MARKET,
        snapshot,
        first,
        last,
        prev,
        list(bids),
        list(bids.values()),
        list(asks),
        list(asks.values()),
        ts,
        2,
        0,
    )


def live(rule: Continuity, last: int = 100, **more: Any) -> BookSync:
    sync = BookSync(rule, first_epoch=1, **more)
    sync.on_change(change(last, last, bids={10: 1}, asks={20: 1}, snapshot=True))
    return sync


def test_deltas_before_the_snapshot_are_buffered_and_joined() -> None:
    """What came while the snapshot was fetched is applied after it, older parts dropped."""
    sync = BookSync(RangeRule(), first_epoch=7)
    for first in (95, 98, 101):
        assert sync.on_change(change(first, first + 2, bids={first: 5})) == ([], None)
    updates, broken = sync.on_change(change(99, 99, bids={1: 1}, asks={200: 1}, snapshot=True))
    assert broken is None
    assert [(u.is_snapshot, u.sequence, u.prev, u.epoch) for u in updates] == [
        (True, 99, 99, 7),
        (False, 100, 99, 7),
        (False, 103, 100, 7),
    ]
    assert sync.book.bids == {1: 1, 98: 5, 101: 5}


def test_a_snapshot_older_than_the_buffer_is_passed_over() -> None:
    """The caller has to fetch another one; nothing is lost meanwhile."""
    sync = BookSync(RangeRule(), first_epoch=1)
    sync.on_change(change(100, 101))
    assert sync.on_change(change(50, 50, snapshot=True)) == ([], None)
    assert sync.snapshot(0) is None
    sync.on_change(change(99, 99, snapshot=True))
    assert sync.snapshot(0) is not None


@pytest.mark.parametrize(
    ("rule", "good", "repeat", "gap"),
    [
        (RangeRule(), change(101, 105), change(90, 100), change(102, 105)),
        (JoinRule(), change(140, 150, 100), change(80, 90, 70), change(140, 150, 101)),
        (ChainRule(), change(-1, 105, 100), change(-1, 100, 100), change(-1, 105, 101)),
    ],
)
def test_each_rule_applies_repeats_and_breaks(
    rule: Continuity, good: BookChange, repeat: BookChange, gap: BookChange
) -> None:
    """A continuing delta is applied, a known one dropped, any other breaks the book."""
    sync = live(rule)
    sync.on_change(change(101, 101, 100) if isinstance(rule, JoinRule) else change(0, 0))
    sync = live(rule)
    assert sync.on_change(repeat) == ([], None)
    updates, broken = sync.on_change(good)
    assert broken is None
    assert updates[0].prev == 100
    assert updates[0].sequence == good.last
    sync = live(rule)
    if isinstance(rule, JoinRule):
        sync.on_change(change(99, 100, 98))
    _, broken = sync.on_change(gap)
    assert broken is not None
    assert broken.cause is GapCause.SEQUENCE_BREAK
    assert sync.state is SyncState.WANTS_SNAPSHOT


def test_a_chain_survives_heartbeats_and_a_reset() -> None:
    """The venue's own example: 10, 15, a heartbeat at 15, a reset to 3, then 5."""
    sync = live(ChainRule(), 10, in_band=True)
    for last, prev in ((15, 10), (15, 15), (3, 15), (5, 3)):
        _, broken = sync.on_change(change(-1, last, prev))
        assert broken is None
    assert sync.on_change(change(-1, 9, 4))[1] is not None


def test_a_chain_of_frames_without_ids_counts_for_itself() -> None:
    """Frames of years when the venue sent no ids are followed in their order."""
    sync = BookSync(ChainRule(), first_epoch=1, in_band=True)
    sync.on_change(change(-1, -1, bids={10: 1}, asks={20: 1}, snapshot=True))
    sequences = [sync.on_change(change(-1, -1, bids={9: n}))[0][0].sequence for n in (1, 2, 3)]
    assert sequences == [1, 2, 3]


def test_a_crossed_book_is_refused_and_starts_over() -> None:
    """A bid at or above the best ask cannot be: the book wants a snapshot."""
    sync = live(RangeRule())
    updates, broken = sync.on_change(change(101, 101, bids={20: 3}))
    assert updates == []
    assert broken is not None
    assert broken.cause is GapCause.REFUSED_FRAME
    assert "20" in broken.detail


def test_a_standby_connection_extends_the_book_and_never_breaks_it() -> None:
    """During a renewal both sockets feed one book; the new one may be ahead or behind."""
    sync = live(RangeRule())
    assert sync.on_change(change(110, 111), standby=True) == ([], None)
    assert sync.on_change(change(101, 101), standby=True)[0][0].sequence == 101
    assert sync.on_change(change(101, 101)) == ([], None)
    assert sync.state is SyncState.LIVE


def test_a_wrong_checksum_breaks_the_book_and_zero_is_not_checked() -> None:
    """Only a checksum that is there is verified."""
    sync = BookSync(ChainRule(), first_epoch=1, in_band=True)
    good = change(-1, 1, bids={10: 1}, asks={20: 1}, snapshot=True)
    good.checksum, good.raw = 1, ([("1.0", "1")], [("2.0", "1")])
    _, broken = sync.on_change(good)
    assert broken is not None
    assert broken.cause is GapCause.CHECKSUM_MISMATCH
    good.checksum, good.raw = 0, None
    assert sync.on_change(good)[1] is None


LEVELS = st.dictionaries(st.integers(1, 40), st.integers(0, 5), max_size=8)


@given(LEVELS, st.lists(st.tuples(LEVELS, LEVELS), max_size=20))
def test_a_book_rebuilt_from_its_own_updates_is_the_same(
    start: dict[int, int], deltas: list[tuple[dict[int, int], dict[int, int]]]
) -> None:
    """A reader that applies what is published holds the book that we hold, best levels included."""
    sync = BookSync(RangeRule(), first_epoch=1)
    updates, _ = sync.on_change(change(0, 0, bids=start, asks={1000: 1}, snapshot=True))
    for number, (bids, asks) in enumerate(deltas, 1):
        shifted = {price + 100: size for price, size in asks.items()}
        updates += sync.on_change(change(number, number, bids=bids, asks=shifted))[0]
    bids_seen: dict[int, int] = {}
    for index, update in enumerate(updates):
        if update.is_snapshot:
            bids_seen = {}
        else:
            assert update.prev == updates[index - 1].sequence
        for price, size in zip(update.bid_prices, update.bid_sizes, strict=True):
            bids_seen[price] = size
    assert {p: s for p, s in bids_seen.items() if s} == sync.book.bids
    assert sync.book.best_bid == max(sync.book.bids, default=None)
    assert sync.book.best_ask == min(sync.book.asks, default=None)
