"""Layers, weights, stances and sentences, one by one."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from teleglas_signal_scorer.domain.bars import Bar, Series
from teleglas_signal_scorer.domain.explain import sentences
from teleglas_signal_scorer.domain.indicators import BARS, INDICATORS, Prices
from teleglas_signal_scorer.domain.intervals import LIVE, SECOND_NS
from teleglas_signal_scorer.domain.layer import Fact, View
from teleglas_signal_scorer.domain.layers import cvd, order_flow, technical
from teleglas_signal_scorer.domain.registry import LAYERS, NAMES
from teleglas_signal_scorer.domain.scoring import Contribution, score_of
from teleglas_signal_scorer.domain.stance import STANCES, next_stance
from teleglas_signal_scorer.domain.weights import (
    FIRST,
    TOTAL,
    Weights,
    WeightsBook,
    WeightsError,
    validated,
)
from teleglas_signal_scorer.domain.whales import Whale

MINUTE = 60 * SECOND_NS


def bar(
    at: int, close: float, *, bought: float = 5.0, length: int = MINUTE, trades: int = 1
) -> Bar:
    ts = at * length
    return Bar(
        ts, ts + length, close, close + 1.0, close - 1.0, close, 10.0, 10.0 * close, bought,
        trades, 1.0, 0,
    )  # fmt: skip


def view(
    closes: list[float],
    *,
    bought: float = 5.0,
    seconds: list[Bar] | None = None,
    whales: list[Whale] | None = None,
) -> View:
    bars = [bar(at, close, bought=bought) for at, close in enumerate(closes)]
    series = {interval.name: Series(BARS + 8, bars) for interval in LIVE.intervals}
    return View(len(closes) * MINUTE, LIVE, series, seconds or [], whales or [])


def rising(count: int = BARS) -> list[float]:
    return [100.0 + at * 0.5 + (at % 3) for at in range(count)]


def test_indicators_equal_talib_on_the_last_n_bars_whatever_came_before() -> None:
    """A restart that keeps N bars changes no value."""
    closes = rising(400)
    bars = [bar(at, close) for at, close in enumerate(closes)]
    for name, count, indicator in INDICATORS:
        exact = indicator(Prices.of(bars[-count:]))
        assert indicator(Prices.of(bars).last(count)) == exact, name
    window = np.array(closes[-30:])
    expected = talib.RSI(window, 14)[-1] / 50.0 - 1.0
    assert INDICATORS[0][2](Prices.of(bars[-30:])) == expected


def test_technical_layer_reads_a_rise_above_zero_and_names_what_is_cold() -> None:
    """Full confidence needs all bars of all intervals."""
    whole = technical.read(view(rising()))
    assert whole.value > 0.2
    assert whole.confidence == pytest.approx(1.0)
    assert whole.missing == ()
    partly = technical.read(view(rising(BARS - 10)))
    assert 0.0 < partly.confidence < 1.0
    assert partly.missing == ("technical.1m", "technical.5m", "technical.15m")
    assert technical.read(view(rising(3))).confidence == 0.0


def test_technical_layer_trusts_a_market_without_trades_less() -> None:
    """Flat bars are bars, but stale ones."""
    fresh = view(rising())
    for series in fresh.series.values():
        for at in range(BARS, BARS + 6):
            series.put(bar(at, 140.0, trades=0))
    reading = technical.read(fresh)
    assert "technical.stale" in reading.missing
    assert reading.confidence == pytest.approx(0.5)


def test_cvd_follows_the_takers_and_feels_divergence() -> None:
    """Buyers against a falling price pull up more than buyers alone."""
    bought = cvd.read(view(rising(30), bought=8.0))
    sold = cvd.read(view(rising(30), bought=2.0))
    assert bought.value > 0 > sold.value
    diverging = cvd.read(view(list(reversed(rising(30))), bought=8.0))
    facts = {fact.name: fact.value for fact in diverging.facts}
    assert facts["cvd.divergence"] > 0
    assert diverging.value > bought.value


def test_cvd_without_taker_volume_says_so() -> None:
    """A plain candle file has no flow."""
    reading = cvd.read(view(rising(30), bought=-1.0))
    assert reading.confidence == 0.0
    assert reading.missing == ("cvd.taker_volume",)


def test_incomplete_candles_lower_confidence_and_are_named() -> None:
    """Half of the trades known: half of the trust."""
    made = view(rising())
    import msgspec

    for series in made.series.values():
        series.put(msgspec.structs.replace(series.bars[-1], completeness=0.5))
    for layer, name in ((technical, "technical.completeness"), (cvd, "cvd.completeness")):
        reading = layer.read(made)
        assert name in reading.missing
        assert reading.confidence == pytest.approx(0.5)


def test_order_flow_adds_whales_that_fade_with_age() -> None:
    """A fresh whale weighs more than an old one, a seller the other way."""
    tick = BARS * MINUTE
    seconds = [
        bar(at, 100.0, bought=5.0, length=SECOND_NS)
        for at in range(tick // SECOND_NS - 50, tick // SECOND_NS)
    ]

    def reading(signed: float, age_s: int) -> float:
        whale = Whale("w", 0, "binance", tick - age_s * SECOND_NS, signed, 0.99)
        return order_flow.read(view(rising(), seconds=seconds, whales=[whale])).value

    assert reading(2_000.0, 1) > reading(2_000.0, 200) > 0.0
    assert reading(-2_000.0, 1) == -reading(2_000.0, 1)
    assert reading(2_000.0, 301) == order_flow.read(view(rising(), seconds=seconds)).value == 0.0


def test_order_flow_without_alerts_keeps_the_flow_and_loses_confidence() -> None:
    """What had not come is named."""
    absent = replace(view(rising()), absent=("whale.alerts",))
    reading = order_flow.read(absent)
    assert "whale.alerts" in reading.missing
    assert reading.confidence < order_flow.read(view(rising())).confidence


@settings(max_examples=60, deadline=None)
@given(
    closes=st.lists(st.floats(0.01, 1e9), min_size=1, max_size=70),
    bought=st.floats(0.0, 10.0),
    weights=st.tuples(st.floats(0.0, 50.0), st.floats(0.0, 50.0)),
)
def test_scores_are_bounded_sums_for_any_market(
    closes: list[float], bought: float, weights: tuple[float, float]
) -> None:
    """Within [-100, 100], the exact sum of what is stored, confidence within [0, 1]."""
    layers = validated(
        [("technical", weights[0]), ("cvd", weights[1]), ("order_flow", 100.0 - sum(weights))]
    )
    score = score_of("X-Y", view(closes, bought=bought), Weights(1, layers), "neutral")
    total = 0.0
    for one in score.contributions:
        total += one.points
        assert -1.0 <= one.reading <= 1.0
        assert 0.0 <= one.confidence <= 1.0
    assert score.score == total
    assert -100.0 <= score.score <= 100.0
    assert 0.0 <= score.confidence <= 1.0


@given(st.lists(st.floats(0.0, 100.0), min_size=3, max_size=3).filter(lambda w: sum(w) > 1.0))
def test_weights_never_sum_above_a_hundred(raw: list[float]) -> None:
    """So that readings of 1 everywhere score 100 at most."""
    scaled = [weight * TOTAL / sum(raw) for weight in raw]
    made = validated(zip(NAMES, (min(weight, 100.0) for weight in scaled), strict=True))
    assert sum(weight for _, weight in made) <= TOTAL


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [("technical", 100.0)],
        [("technical", 40.0), ("cvd", 30.0), ("nonsense", 30.0)],
        [("technical", 40.0), ("cvd", 30.0), ("order_flow", 30.0), ("cvd", 0.0)],
        [("technical", 140.0), ("cvd", -70.0), ("order_flow", 30.0)],
        [("technical", math.nan), ("cvd", 30.0), ("order_flow", 30.0)],
        [("technical", 40.0), ("cvd", 30.0), ("order_flow", 29.0)],
    ],
)
def test_impossible_weights_are_refused(layers: list[tuple[str, float]]) -> None:
    """With what was expected."""
    with pytest.raises(WeightsError, match="expected"):
        validated(layers)


def test_weights_book_finds_the_version_in_force() -> None:
    """The highest that is effective by then."""
    book = WeightsBook([FIRST, Weights(2, FIRST.layers, 100), Weights(3, FIRST.layers, 200)])
    assert [book.at(tick).version for tick in (0, 99, 100, 199, 200)] == [1, 1, 2, 2, 3]
    with pytest.raises(LookupError):
        WeightsBook([Weights(1, FIRST.layers, 5)]).at(4)


def test_stance_holds_within_its_band() -> None:
    """Entered at 20 and 55, left below 10 and 45, mirrored below zero."""
    path = [15.0, 21.0, 12.0, 9.0, 56.0, 47.0, 44.0, -21.0, -12.0, -60.0, -46.0, -9.0]
    stance, said = "neutral", []
    for score in path:
        stance = next_stance(stance, score)
        said.append(stance)
    assert said == [
        "neutral", "buy", "buy", "neutral", "strong_buy", "strong_buy", "buy", "sell", "sell",
        "strong_sell", "strong_sell", "neutral",
    ]  # fmt: skip


@given(st.sampled_from(STANCES), st.floats(-100.0, 100.0))
def test_stances_mirror(before: str, score: float) -> None:
    """A market upside down has the opposite word."""
    mirror = dict(zip(STANCES, reversed(STANCES), strict=True))
    assert next_stance(mirror[before], -score) == mirror[next_stance(before, score)]


def test_explanation_has_a_sentence_for_each_contribution_the_largest_first() -> None:
    """Also for one that had nothing to go by."""
    parts = [
        Contribution("technical", 3.0, 0.1, 40.0, 0.75, (Fact("rsi.1m", 0.1, 1),), "warming up"),
        Contribution("cvd", -12.0, -0.4, 30.0, 1.0),
        Contribution("order_flow", 0.0, 0.0, 30.0, 0.0, (), "no seconds"),
    ]
    said = sentences(parts)
    assert [text.split(" adds")[0] for text in said] == ["cvd", "technical", "order flow"]
    assert "-12.00" in said[0]
    assert "against" in said[0]
    assert "rsi.1m 0.1" in said[1]
    assert "warming up" in said[1]
    assert "adds nothing: no seconds" in said[2]


def test_layers_declare_what_they_need() -> None:
    """Names are unique, and each row of the registry is whole."""
    assert len(set(NAMES)) == len(LAYERS)
    for layer in LAYERS:
        assert layer.inputs
        assert layer.warm_up > 0
        assert layer.stale_after_ns > 0


def test_the_service_loads_no_data_frames() -> None:
    """TA-Lib would import polars, which takes more memory than the service."""
    code = (
        "import sys, teleglas_signal_scorer.app;"
        "print([n for n in ('polars', 'pandas', 'scipy') if sys.modules.get(n)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
