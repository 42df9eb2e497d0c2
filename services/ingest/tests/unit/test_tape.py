from hypothesis import given
from hypothesis import strategies as st

from teleglas_ingest.domain.tape import MAX_HOLES, Seen, TradeTape


def test_a_jump_opens_a_hole_and_its_ids_fill_it() -> None:
    """What is missing is named, taken once each, and nothing else is taken twice."""
    tape = TradeTape(10, 5)
    assert tape.see(11, 6) is Seen.NEXT
    assert tape.see(15, 9) is Seen.HOLE_BEFORE
    hole = tape.holes[0]
    assert (hole.first, hole.last, hole.ts_from, hole.ts_to) == (12, 14, 6, 9)
    assert tape.held_at == 6
    assert [tape.see(n, 7) for n in (13, 13, 12, 14)] == [
        Seen.FILLS_HOLE,
        Seen.REPEAT,
        Seen.FILLS_HOLE,
        Seen.FILLS_HOLE,
    ]
    assert hole.missing == []
    assert hole.recovered == 3
    tape.close(hole)
    assert tape.held_at is None


def test_an_aggregate_stands_for_all_its_ids() -> None:
    """A message of three fills that ends at 103 follows 100."""
    tape = TradeTape(100)
    assert tape.see(103, 1, fills=3) is Seen.NEXT
    assert tape.see(103, 1, fills=3) is Seen.REPEAT


def test_the_venues_newest_id_opens_a_hole_that_live_trades_fill() -> None:
    """Ids known to exist are missing until they come, by REST or by the stream."""
    tape = TradeTape(100, 1)
    assert tape.expect(100, 1) is None
    hole = tape.expect(105, 9)
    assert hole is not None
    assert tape.see(103, 5) is Seen.FILLS_HOLE
    assert hole.missing == [(101, 102), (104, 105)]
    assert tape.see(106, 10) is Seen.NEXT


def test_holes_are_bounded() -> None:
    """The oldest one is given up when there are too many."""
    tape = TradeTape(0)
    for number in range(MAX_HOLES + 1):
        tape.see(2 * number + 2, 1)
    assert tape.overflow() is not None
    assert tape.overflow() is None


@given(st.lists(st.integers(1, 60), max_size=80))
def test_every_id_is_taken_at_most_once(ids: list[int]) -> None:
    """Whatever the order and the repeats, the ids taken are distinct and none is invented."""
    tape = TradeTape(0)
    taken = [n for n in ids if tape.see(n, n) is not Seen.REPEAT]
    assert len(taken) == len(set(taken))
    assert set(taken) == set(ids)
    missing = {n for h in tape.holes for low, high in h.missing for n in range(low, high + 1)}
    assert missing == set(range(1, max(ids, default=0) + 1)) - set(ids)
