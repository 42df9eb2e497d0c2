"""By what time old data goes."""

from __future__ import annotations

from teleglas_market_data.app import common_frontier


def test_one_wrong_clock_drops_no_data_and_one_dead_market_keeps_none() -> None:
    """Half of the markets must have come so far."""
    assert common_frontier([]) == 0
    assert common_frontier([0, 100]) == 100
    assert common_frontier([100, 9_999]) == 100
    assert common_frontier([0, 5, 100, 101, 102, 9_999]) == 101
