from __future__ import annotations

import struct

import pytest

from teleglas_common.rounds import FetchWait, Traffic, to_round_s


@pytest.mark.parametrize(
    ("now_s", "offset_s", "left_s"),
    [(10.0, 0.0, 0.25), (10.1, 0.0, 0.15), (10.1, 0.03, 0.18), (10.01, 0.03, 0.02)],
)
def test_a_round_ends_at_a_multiple_moved_by_the_offset(now_s, offset_s, left_s):
    assert to_round_s(now_s, 0.25, offset_s) == pytest.approx(left_s)


def test_each_request_gets_a_wait_of_its_own():
    times = iter([10.1005, 10.2005])
    wait = FetchWait(0.25, 0.03, lambda: next(times))
    assert struct.unpack(">i", struct.pack(">i", wait)) == (180,)
    assert struct.unpack(">i", struct.pack(">i", wait)) == (80,)


def test_traffic_is_busy_as_soon_as_a_round_brings_enough():
    traffic = Traffic(0.25, 100)
    assert not traffic.take(60, 10.0)
    assert traffic.take(60, 10.1)


def test_traffic_stays_busy_for_the_round_that_follows_a_busy_one():
    traffic = Traffic(0.25, 100)
    assert traffic.take(100, 10.0)
    assert traffic.take(1, 10.3)
    assert not traffic.take(1, 10.6)


def test_a_busy_round_long_ago_says_nothing():
    traffic = Traffic(0.25, 100)
    assert traffic.take(100, 10.0)
    assert not traffic.take(1, 20.0)
