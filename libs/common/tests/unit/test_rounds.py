from __future__ import annotations

import struct

import pytest

from teleglas_common.rounds import (
    BUSY_BYTES_A_MS,
    BUSY_RECORDS,
    QUIET_BYTES,
    Gathering,
    Traffic,
    to_round_s,
)


class Clock:
    """Shows what it is set to."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def encoded(value: object) -> int:
    """As a Kafka request carries it."""
    return int(struct.unpack(">i", struct.pack(">i", value))[0])


@pytest.mark.parametrize(
    ("now_s", "offset_s", "left_s"),
    [(10.0, 0.0, 0.25), (10.1, 0.0, 0.15), (10.1, 0.03, 0.18), (10.01, 0.03, 0.02)],
)
def test_a_round_ends_at_a_multiple_moved_by_the_offset(now_s, offset_s, left_s):
    assert to_round_s(now_s, 0.25, offset_s) == pytest.approx(left_s)


def test_each_request_of_a_quiet_reader_waits_until_the_round():
    clock = Clock(10.1005)
    gathering = Gathering(0.25, 0.03, 20, clock)
    assert encoded(gathering.wait_ms) == 180
    clock.now_s = 10.2005
    assert encoded(gathering.wait_ms) == 80
    assert encoded(gathering.min_bytes) == QUIET_BYTES


def test_a_busy_reader_waits_briefly_until_it_is_quiet_again():
    clock = Clock(10.0)
    gathering = Gathering(0.25, 0.0, 20, clock)
    gathering.came(BUSY_RECORDS)
    clock.now_s = 10.3
    assert encoded(gathering.wait_ms) == 20
    assert encoded(gathering.min_bytes) == 20 * BUSY_BYTES_A_MS
    clock.now_s = 10.55
    assert encoded(gathering.wait_ms) == 200
    assert encoded(gathering.min_bytes) == QUIET_BYTES


def test_who_shows_is_answered_as_soon_as_anything_is_there():
    gathering = Gathering(0.25, 0.0, None, Clock(10.0))
    assert encoded(gathering.min_bytes) == QUIET_BYTES
    gathering.came(BUSY_RECORDS)
    assert encoded(gathering.min_bytes) == 1


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
