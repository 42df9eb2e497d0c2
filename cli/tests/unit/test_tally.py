from hypothesis import given
from hypothesis import strategies as st

from teleglas_cli.up.tally import Intervals


@given(st.lists(st.integers(0, 60)))
def test_intervals_hold_just_what_was_added(values: list[int]) -> None:
    """Whatever the order and the repeats, the size is that of a set and no two runs touch."""
    found = Intervals()
    for value in values:
        found.add(value)
    assert found.size == len(set(values))
    held = [n for a, b in zip(found.firsts, found.lasts, strict=True) for n in range(a, b + 1)]
    assert held == sorted(set(values))
    assert all(b + 1 < a for b, a in zip(found.lasts, found.firsts[1:], strict=False))
