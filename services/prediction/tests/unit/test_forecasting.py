"""Bars, features, models, intervals, skill: the domain by itself."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teleglas_prediction.domain.bars import MAX_FILLED, Bar, Columns, Window
from teleglas_prediction.domain.conformal import COVERAGES, QUANTILES, Conformal
from teleglas_prediction.domain.features import FEATURES, View, features, volatility
from teleglas_prediction.domain.horizons import BY_NS, HORIZONS, MAX_BARS, MINUTE_NS, Horizon
from teleglas_prediction.domain.models import Outlook, RandomWalk
from teleglas_prediction.domain.scoring import pinball, quantiles_of
from teleglas_prediction.domain.series import Entry, Lineup, Outcome, Series
from teleglas_prediction.domain.skill import ENOUGH, Skill, Verdict, direction_of
from teleglas_prediction.domain.state import StateVersionError, dump_series, load_series

LINEUPS = {one.length_ns: Lineup((RandomWalk(),)) for one in HORIZONS}
FIVE = BY_NS[5 * MINUTE_NS]


def bars(count: int, *, seed: int = 1, scale: float = 1e-3, begin: int = 1_000) -> list[Bar]:
    source = random.Random(seed)
    price, found = 100.0, []
    for at in range(count):
        before, price = price, price * math.exp(source.gauss(0, scale))
        high, low = max(before, price) * 1.0001, min(before, price) * 0.9999
        found.append(Bar((begin + at) * MINUTE_NS, high, low, price, source.random(), 1.0))
    return found


def window_of(found: list[Bar]) -> Columns:
    window = Window.empty(MINUTE_NS)
    for one in found:
        window.take(one)
    return window.columns()


def new_series() -> Series:
    return Series("1m", Window.empty(MINUTE_NS))


def test_every_horizon_is_a_whole_number_of_its_bars() -> None:
    """A target always is the end of a bar of the same series."""
    assert all(one.length_ns % one.interval_ns == 0 for one in HORIZONS)
    assert [one.name for one in HORIZONS] == ["5m", "15m", "1h", "4h", "24h"]


def test_window_a_short_hole_is_filled_flat_and_says_so() -> None:
    """Bars that are missing have completeness 0 and no volume."""
    window = Window.empty(MINUTE_NS)
    first, *_, last = bars(MAX_FILLED + 2)
    window.take(first)
    window.take(last)
    assert len(window) == MAX_FILLED + 2
    assert window.rows[1:-1, 2].tolist() == [first.close] * MAX_FILLED
    assert window.completeness == pytest.approx(2 / (MAX_FILLED + 2))


def test_window_a_long_hole_begins_anew() -> None:
    """Nothing from before the hole is looked at again."""
    window = Window.empty(MINUTE_NS)
    first, *_, last = bars(MAX_FILLED + 3)
    window.take(first)
    window.take(last)
    assert len(window) == 1


def test_window_one_wrong_time_far_ahead_is_not_believed() -> None:
    """Bars of the true time go on; a real jump is believed at its second bar."""
    window = Window.empty(MINUTE_NS)
    first, second, *_ = bars(4)
    far, further = bars(2, begin=10**6)
    assert window.take(first)
    assert not window.take(far)
    assert window.take(second)
    assert len(window) == 2
    assert not window.take(far)
    assert window.take(further)
    assert (len(window), window.ts_close) == (1, further.ts_open + MINUTE_NS)


def test_features_of_a_matrix_are_those_of_single_windows() -> None:
    """Training and live run the same code on the same numbers."""
    found = bars(MAX_BARS + 20)
    singles = [window_of(found[at : at + MAX_BARS]) for at in range(20)]
    stacked = Columns(*(np.stack(column) for column in zip(*singles, strict=True)))
    np.testing.assert_allclose(
        features(stacked), np.stack([features(one) for one in singles]), rtol=1e-12, atol=1e-12
    )
    assert features(singles[0]).shape == (len(FEATURES),)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.floats(1e-9, 1e12), st.floats(1, 10), st.floats(0, 1e15), st.floats(0, 1)),
        min_size=MAX_BARS,
        max_size=MAX_BARS,
    )
)
def test_features_of_any_possible_bars_are_finite(rows: list[tuple[float, ...]]) -> None:
    """Jumps, standstill and silence included."""
    found = [
        Bar(at * MINUTE_NS, close * wide, close / wide, close, volume, completeness)
        for at, (close, wide, volume, completeness) in enumerate(rows)
    ]
    window = window_of(found)
    assert np.isfinite(features(window)).all()
    assert volatility(window) > 0


def test_volatility_from_few_bars_is_wider() -> None:
    """What is hardly known is said to be so."""
    few, many = window_of(bars(20)), window_of(bars(190))
    assert volatility(few) / 1e-3 > volatility(many) / 1e-3 * 0.9
    steady = Bar(0, 1.01, 1.0, 1.0, 1.0, 1.0)
    zigzag = [
        steady._replace(ts_open=at * MINUTE_NS, close=1.0 + 0.01 * (at % 2)) for at in range(190)
    ]
    assert volatility(window_of(zigzag[:20])) > volatility(window_of(zigzag)) * 1.1


def test_first_forecasts_are_wide_and_teach_the_widths_nothing() -> None:
    """Three quiet bars do not make a narrow interval, nor do their outcomes."""
    series, found = new_series(), bars(23, scale=1e-6)
    issued = [entry for one in found for entry in series.take(one, LINEUPS).issued]
    assert issued[0].bars == 3
    assert issued[0].halves[-1] > 50 * issued[-1].halves[-1]
    (standing,) = series.standings.values()
    assert (standing.conformal, standing.skill.resolved) == (Conformal(), 16)
    for one in bars(30, scale=1e-6)[23:]:
        series.take(one, LINEUPS)
    (standing,) = series.standings.values()
    assert standing.conformal.resolved == 6


@pytest.mark.parametrize("scale", [1e-4, 1e-2])
@pytest.mark.parametrize("tail", [3, 30])
def test_intervals_cover_what_they_say_whatever_the_tails(scale: float, tail: int) -> None:
    """Coverage of all three within 2 points, over heavy and light tails."""
    source = np.random.default_rng(7)
    state, inside = Conformal(), np.zeros(3)
    scores = np.abs(source.standard_t(tail, size=20_000)) * scale / 1e-3
    for score in scores.tolist():
        inside += [score <= width for width in state.widths]
        state = state.after(score, 1)
    np.testing.assert_allclose(inside / len(scores), COVERAGES, atol=0.02)


def test_intervals_follow_a_market_that_changes() -> None:
    """Coverage holds in the second half although its scores are three times as large."""
    source = np.random.default_rng(3)
    scores = np.abs(source.normal(size=8_000)) * np.repeat([1.0, 3.0], 4_000)
    state, inside = Conformal(), 0
    for at, score in enumerate(scores.tolist()):
        inside += at >= 5_000 and score <= state.widths[-1]
        state = state.after(score, 1)
    assert inside / 3_000 == pytest.approx(0.9, abs=0.02)


@given(st.lists(st.floats(0, 1e6), max_size=200))
def test_intervals_never_cross(scores: list[float]) -> None:
    """A wider coverage never has the narrower interval."""
    state = Conformal()
    for score in scores:
        state = state.after(score, 5)
        assert state.widths[0] > 0
        assert list(state.widths) == sorted(state.widths)


def test_pinball_is_least_at_the_quantiles_of_the_truth() -> None:
    """A proper score: saying more or less than what is known costs."""
    source = np.random.default_rng(5)
    truth = source.normal(size=20_000).tolist()
    exact = quantiles_of(0.0, (0.674, 1.282, 1.645))
    assert len(exact) == len(QUANTILES)

    def mean(quantiles: tuple[float, ...]) -> float:
        return sum(pinball(quantiles, one) for one in truth) / len(truth)

    best = mean(exact)
    assert mean(quantiles_of(0.0, (0.4, 0.8, 1.0))) > best
    assert mean(quantiles_of(0.0, (1.0, 2.0, 2.6))) > best
    assert mean(quantiles_of(0.3, (0.674, 1.282, 1.645))) > best


def test_series_resolves_each_forecast_at_its_target_once() -> None:
    """Outcome, coverage and losses are those of the closes."""
    series, found = new_series(), bars(120)
    closes = {one.ts_open + MINUTE_NS: one.close for one in found}
    issued: list[Entry] = []
    resolved: list[Outcome] = []
    for one in found:
        step = series.take(one, LINEUPS)
        issued += step.issued
        resolved += step.resolved
    assert len(issued) == 118
    assert [done.entry for done in resolved] == issued[:113]
    for done in resolved:
        entry = done.entry
        moved = math.log(closes[entry.ts_target] / closes[entry.ts_event])
        assert done.price == pytest.approx(closes[entry.ts_target], rel=1e-9)
        assert done.covered == tuple(abs(moved) <= half for half in entry.halves)
        assert done.loss == pytest.approx(pinball(entry.quantiles, moved), rel=1e-9)
        assert done.loss == done.walk_loss


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 299))
def test_series_restored_anywhere_goes_on_to_the_last_bit(cut: int) -> None:
    """State as bytes and back changes nothing of what follows."""
    whole, halved, found = new_series(), new_series(), bars(300)
    ends: list[Outcome] = []
    for one in found:
        ends = list(whole.take(one, LINEUPS).resolved)
    for one in found[:cut]:
        halved.take(one, LINEUPS)
    halved = load_series(dump_series(halved))
    again: list[Outcome] = []
    for one in found[cut:]:
        again = list(halved.take(one, LINEUPS).resolved)
    assert dump_series(halved) == dump_series(whole)
    assert again == ends


@pytest.mark.parametrize("state", [b"", b"\x93\x63\xa21m\x00", b"nonsense"])
def test_state_of_another_version_is_refused(state: bytes) -> None:
    """Better no start than a wrong one."""
    with pytest.raises(StateVersionError):
        load_series(state)


class Knowing:
    """A model whose median is always up; whether it has skill is the walk-forward's word."""

    name = "boosted"
    version = "knowing"
    needs_bars = 20

    def __init__(self, *, has_direction: bool, shift: float = 0.5) -> None:
        self.has_direction = has_direction
        self._shift = shift

    def look(self, view: View, horizon: Horizon) -> Outlook:
        scale = RandomWalk().look(view, horizon).scale
        return Outlook(scale * self._shift, scale)


def rising(count: int) -> list[Bar]:
    """Prices that rise, so that a model which says up has skill."""
    source, price, found = random.Random(2), 100.0, []
    for at in range(count):
        price *= math.exp(source.gauss(3e-4, 3e-4))
        found.append(Bar(at * MINUTE_NS, price, price, price, 1.0, 1.0))
    return found


def test_direction_is_named_after_skill_is_seen_and_withheld_before() -> None:
    """The reason changes from not known to none at all."""
    lineups = {**LINEUPS, FIVE.length_ns: Lineup((RandomWalk(), Knowing(has_direction=True)))}
    series = new_series()
    seen = []
    for one in rising(300):
        seen += [e for e in series.take(one, lineups).issued if e.model == "boosted"]
    assert seen[0].direction.sign == 0
    assert seen[0].direction.reason == f"live skill not known: 0 of {ENOUGH} resolved"
    assert seen[-1].direction.sign == 1
    assert seen[-1].direction.reason == ""


def test_direction_without_walk_forward_skill_is_always_withheld() -> None:
    """Luck in a rising market names nothing."""
    lineups = {**LINEUPS, FIVE.length_ns: Lineup((RandomWalk(), Knowing(has_direction=False)))}
    series = new_series()
    signs = {
        entry.direction.sign for one in rising(300) for entry in series.take(one, lineups).issued
    }
    assert signs == {0}


def test_champion_that_falls_behind_the_walk_steps_back() -> None:
    """A model that is wrong here loses the title after enough forecasts, not its place."""
    wrong = Knowing(has_direction=True, shift=-3.0)
    lineups = {**LINEUPS, FIVE.length_ns: Lineup((RandomWalk(), wrong), "boosted")}
    series = new_series()
    champions = []
    for at, one in enumerate(rising(300)):
        issued = series.take(one, lineups).issued
        champions += [entry.model for entry in issued if entry.is_champion]
        assert len(issued) == (at >= 2) + (at >= 19)
    assert champions[17] == "boosted"
    assert champions[-1] == "random-walk"


def test_direction_within_the_noise_is_withheld() -> None:
    """A median that hardly moves names nothing even with skill."""
    skilled = Skill(ENOUGH, 0.9, 1.0, 1.0, 2.0, 1.0, 2.0)
    verdict = Verdict(is_walk=False, has_direction=True)
    assert (
        direction_of(verdict, skilled, 0.01, 1.0).reason == "the expected move is within the noise"
    )
    assert direction_of(verdict, skilled, -0.5, 1.0).sign == -1
