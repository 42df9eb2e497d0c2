"""The trailing distribution against sorting, and its honesty about what it knows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from teleglas_whale_detector.domain.sketch import HOUR_NS, Definition, Sketch

QUANTILES = Definition(quantile=0.9, min_observations=20)


@given(st.lists(st.floats(1.0, 1e9), min_size=20, max_size=300))
def test_threshold_lies_within_a_bin_of_the_sorted_values(values: list[float]) -> None:
    """A bin is 2 % wide."""
    sketch = Sketch()
    for value in values:
        sketch.add(value, 1)
    found = sketch.threshold(QUANTILES)
    assert found is not None
    ordered = sorted(values)
    lower = ordered[max(0, int(0.9 * len(values)) - 1)]
    upper = ordered[min(len(values) - 1, int(0.9 * len(values)) + 1)]
    assert lower / 1.02 <= found <= upper * 1.02


def test_sketch_before_enough_observations_has_no_threshold() -> None:
    """Nineteen of twenty are not enough, and it says so."""
    sketch = Sketch()
    for _ in range(19):
        sketch.add(5.0, 1)
    assert sketch.threshold(QUANTILES) is None
    assert sketch.warm_up(QUANTILES) == 0.95


def test_hour_of_day_has_its_own_threshold_once_it_is_known_well_enough() -> None:
    """Quiet nights and busy days are not measured by one number."""
    definition = Definition(
        quantile=0.9, min_observations=20, own_hour_observations=50, own_hour_days=7
    )
    sketch = Sketch()
    for hour in range(24 * 12):
        value = 10.0 if hour % 24 < 12 else 1_000.0
        for _ in range(20):
            sketch.add(value, hour * HOUR_NS)
    sketch.rotate(24 * 12 * HOUR_NS)
    night = sketch.threshold(definition)
    sketch.rotate((24 * 12 + 13) * HOUR_NS)
    day = sketch.threshold(definition)
    assert night is not None
    assert day is not None
    assert 9 < night < 11
    assert 900 < day < 1_100


def test_old_hours_fade() -> None:
    """A week's memory: what was large a month ago is not held against today."""
    sketch = Sketch()
    for _ in range(100):
        sketch.add(1_000_000.0, 1)
    for hour in range(1, 24 * 60):
        sketch.add(10.0, hour * HOUR_NS)
    found = sketch.threshold(QUANTILES)
    assert found is not None
    assert found < 11
