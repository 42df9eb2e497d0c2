"""Recorded time against the clock."""

from array import array

import pytest

from teleglas_sim.replay.pace import MAX_SPEED, Pace, parse_speed

_TS = array("q", [0, 1_000_000_000, 1_000_000_000, 4_000_000_000, 1_000_000_000_000])


def test_frames_are_due_at_their_scaled_distance() -> None:
    """At twice the speed a second takes half of one."""
    pace = Pace(_TS, 2.0, max_idle_s=5.0)
    pace.start(0, 100.0)
    assert [pace.due(0, now) for now in (100.0, 100.49, 100.5, 102.0)] == [1, 1, 3, 4]
    assert pace.wait_s(1, 100.2) == pytest.approx(0.3)


def test_a_long_quiet_stretch_is_cut_short() -> None:
    """Captures of different days play one behind the other."""
    pace = Pace(_TS, 1.0, max_idle_s=5.0)
    pace.start(0, 0.0)
    assert pace.wait_s(4, 10.0) == 5.0
    assert pace.due(4, 14.9) == 4
    assert pace.due(4, 15.1) == 5


def test_maximum_speed_makes_everything_due() -> None:
    """Only the clients hold the play back."""
    assert Pace(_TS, MAX_SPEED, max_idle_s=5.0).due(0, 0.0) == len(_TS)


@pytest.mark.parametrize("text", ["0", "-1", "fast", "nan", "inf", ""])
def test_a_speed_that_is_none_is_refused(text: str) -> None:
    """The error shows what was given."""
    with pytest.raises(ValueError, match="expected a speed above 0 or 'max'"):
        parse_speed(text)


def test_speeds_are_factors_or_max() -> None:
    """`max` is no factor."""
    assert (parse_speed("10"), parse_speed("0.5"), parse_speed("max")) == (10.0, 0.5, MAX_SPEED)
