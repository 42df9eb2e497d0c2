"""Training, the registry on disk, and the trees that serve without xgboost."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from teleglas_common.telemetry import Metrics
from teleglas_prediction.adapters.registry import RefusedError, load_model, load_registry
from teleglas_prediction.counts import Counts
from teleglas_prediction.domain.features import FEATURES, View
from teleglas_prediction.domain.horizons import BY_NS, HORIZONS, MAX_BARS, MINUTE_NS
from teleglas_prediction.domain.models import RANDOM_WALK, Boosted
from teleglas_prediction.domain.trees import Trees
from teleglas_prediction.train import main
from teleglas_prediction.training.boosting import fit
from teleglas_prediction.training.candle_files import Bars, CandleFileError, read_bars
from teleglas_prediction.training.examples import examples_of, feature_table
from teleglas_prediction.training.folds import Fold, folds_of
from teleglas_prediction.training.leaks import LeakError, check_folds, leaking_features, planted
from teleglas_prediction.training.walk_forward import calibrated, unpacked

FIVE = BY_NS[5 * MINUTE_NS]
HEAD = "date,open,high,low,close,volume"


def rows(count: int, *, seed: int = 1) -> list[str]:
    """Minutes of a random walk."""
    source = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(source.normal(scale=1e-3, size=count)))
    days = [
        f"2024-01-{1 + at // 1440:02} {at // 60 % 24:02}:{at % 60:02}:00" for at in range(count)
    ]
    return [
        f"{day},{close},{close * 1.001},{close * 0.999},{close},{1 + at % 7}"
        for at, (day, close) in enumerate(zip(days, closes.tolist(), strict=True))
    ]


def written(path: Path, lines: list[str]) -> Path:
    with gzip.open(path, "wt") as out:
        out.write("\n".join([HEAD, *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("candles") / "AAA.csv.gz", rows(4_000))


@pytest.fixture(scope="module")
def trained(candles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with one model of the 5 minute horizon."""
    out = tmp_path_factory.mktemp("registry")
    assert main(["--candles", str(candles), "--out", str(out)]) == 0
    (path,) = out.iterdir()
    return path


def test_training_writes_a_model_that_says_where_it_comes_from(trained: Path) -> None:
    """Range, features, hash and walk-forward metrics; a random walk's model is no champion."""
    known = load_model(trained)
    assert known.features == FEATURES
    assert known.ts_data_from < known.ts_data_to
    assert len(known.training_data_sha256) == 64
    assert {"skill", "skill_t", "coverage_90", "pinball_loss"} <= set(known.metrics)
    assert not known.beats_walk
    lineups = load_registry(trained.parent)
    assert lineups.by_horizon[FIVE.length_ns].champion == RANDOM_WALK
    assert [one.name for one in lineups.by_horizon[FIVE.length_ns].models] == [
        "random-walk",
        "boosted",
    ]
    assert lineups.refusals == []


def test_training_twice_gives_the_same_file(trained: Path, candles: Path, tmp_path: Path) -> None:
    """The version is a hash of the model: equal data, equal model."""
    assert main(["--candles", str(candles), "--out", str(tmp_path)]) == 0
    (again,) = tmp_path.iterdir()
    assert again.name == trained.name
    assert again.read_bytes() == trained.read_bytes()


def test_training_without_fitting_candles_fails_with_a_word(tmp_path: Path) -> None:
    """An empty registry is not a success."""
    path = written(tmp_path / "few.csv.gz", rows(50))
    assert main(["--candles", str(path), "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "line", ["2024-01-02 00:00:00,1,1,-1,1,1", "2024-01-01 00:00:00,1,1,1,1,1", "x,y"]
)
def test_candle_file_with_impossible_rows_is_refused(tmp_path: Path, line: str) -> None:
    """Negative prices, repeated times, nonsense."""
    with pytest.raises(CandleFileError):
        read_bars(written(tmp_path / "bad.csv.gz", [*rows(20), line]))


def test_trees_are_as_good_as_xgboost_itself() -> None:
    """Sums of both forests equal the library's within float32, ties at thresholds included."""
    import xgboost

    source = np.random.default_rng(1)
    matrix = np.round(source.normal(size=(5_000, len(FEATURES))), 1)
    scores = matrix[:, 0] * 0.3 + source.standard_t(4, size=5_000)
    forests = fit(matrix, scores)
    data = xgboost.DMatrix(matrix.astype(np.float32))
    ours = unpacked(forests, len(FEATURES))
    for trees, booster in zip(ours, (forests.shift, forests.spread), strict=True):
        expected = booster.predict(data, output_margin=True)
        assert np.ptp(expected) > 0.01
        np.testing.assert_allclose(trees.predict(matrix), expected, rtol=2e-5, atol=2e-6)


def test_serving_imports_neither_xgboost_nor_polars_nor_scipy() -> None:
    """They would cost more memory than all of the rest."""
    code = (
        "import sys, teleglas_prediction.main;"
        "print([n for n in ('xgboost', 'polars', 'scipy', 'sklearn') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The file with one change and a hash that fits to it."""
    import msgspec

    from teleglas_prediction.adapters.registry import Body

    content = json.loads(path.read_bytes())
    change(content["body"])
    content["sha256"] = msgspec.convert(content["body"], Body).sha256
    return json.dumps(content).encode()


def loop(body: dict[str, Any]) -> None:
    body["shift"]["left"][0] = 0


def far_child(body: dict[str, Any]) -> None:
    body["spread"]["right"][0] = 10**6


def far_feature(body: dict[str, Any]) -> None:
    inner = next(at for at, left in enumerate(body["spread"]["left"]) if left >= 0)
    body["spread"]["feature"][inner] = len(FEATURES)


def rootless(body: dict[str, Any]) -> None:
    body["shift"]["roots"] = []


def huge_number(body: dict[str, Any]) -> None:
    body["shift"]["left"][0] = 2**70


def other_horizon(body: dict[str, Any]) -> None:
    body["horizon_ns"] = 7


def other_features(body: dict[str, Any]) -> None:
    body["features"] = ["tomorrow"]


def no_range(body: dict[str, Any]) -> None:
    body["ts_data_to"] = body["ts_data_from"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (loop, "impossible_trees"),
        (far_child, "impossible_trees"),
        (far_feature, "impossible_trees"),
        (rootless, "impossible_trees"),
        (other_horizon, "foreign_horizon"),
        (other_features, "foreign_features"),
        (no_range, "impossible_range"),
    ],
)
def test_registry_a_foreign_model_is_refused_by_name(
    trained: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], cause: str
) -> None:
    """Whoever made it and whatever its hash says."""
    path = tmp_path / "model.json"
    path.write_bytes(changed(trained, change))
    with pytest.raises(RefusedError) as refused:
        load_model(path)
    assert refused.value.cause == cause


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b"{}", "malformed"),
        (b" " * (17 << 20), "too_large"),
    ],
)
def test_registry_with_a_broken_file_goes_on_with_the_walk(
    tmp_path: Path, content: bytes, cause: str
) -> None:
    """Named and counted; forecasts are those of a fresh install."""
    (tmp_path / "broken.json").write_bytes(content)
    lineups = load_registry(tmp_path)
    assert lineups.refusals == [("broken.json", cause)]
    assert {one.champion for one in lineups.by_horizon.values()} == {RANDOM_WALK}
    metrics = Metrics.of("prediction")
    Counts(metrics).refused_model(cause)
    name = "teleglas_prediction_registry_refusals_total"
    assert metrics.registry.get_sample_value(name, {"cause": cause}) == 1


def test_registry_a_bit_changed_on_disk_is_seen(trained: Path, tmp_path: Path) -> None:
    """The hash in the file is of the model, not of good intentions."""
    content = json.loads(trained.read_bytes())
    content["body"]["metrics"]["skill"] = 0.9
    path = tmp_path / trained.name
    path.write_text(json.dumps(content))
    with pytest.raises(RefusedError, match="wrong_hash"):
        load_model(path)


def test_champion_is_who_is_surely_better_in_walk_forward(trained: Path, tmp_path: Path) -> None:
    """Skill above 0 by two standard errors, else the random walk."""

    def skilled(body: dict[str, Any]) -> None:
        body["metrics"] |= {"skill": 0.02, "skill_t": 4.0}

    def lucky(body: dict[str, Any]) -> None:
        body["metrics"] |= {"skill": 0.02, "skill_t": 1.0}

    for change, champion in ((skilled, "boosted"), (lucky, RANDOM_WALK)):
        (tmp_path / "model.json").write_bytes(changed(trained, change))
        found = load_registry(tmp_path).by_horizon[FIVE.length_ns]
        assert found.champion == champion


def test_leak_check_finds_a_planted_feature_and_nothing_else(candles: Path) -> None:
    """A feature that looks one bar ahead changes when the future is taken away."""
    bars = read_bars(candles)[0].until(1_000)
    assert leaking_features(bars, feature_table) == []
    assert leaking_features(bars, planted) == ["return_ahead"]


def test_planted_feature_has_skill_that_cannot_be(candles: Path) -> None:
    """The forecast one bar ahead becomes too good, so a leak would show in the table too."""
    from teleglas_prediction.domain.horizons import Horizon
    from teleglas_prediction.training.walk_forward import boosted_outlook, skill

    one_bar = Horizon("1m", MINUTE_NS, "1m", MINUTE_NS)
    bars = read_bars(candles)
    gains = []
    for build in (feature_table, planted):
        examples = examples_of(bars, one_bar, build=build)
        folds = folds_of(examples.ts_event, MINUTE_NS, 3)
        at, median, scale = boosted_outlook(examples, folds, one_bar)
        ours = calibrated(examples, at, median, scale, one_bar)
        walk = calibrated(examples, at, np.zeros(len(at)), examples.scale[at], one_bar)
        gains.append(skill(ours.loss, walk.loss))
    assert gains[0] < 0.02
    assert gains[1] > 0.04


def test_folds_are_purged_and_embargoed_by_a_horizon() -> None:
    """The last training target lies a horizon before the first test; a plain split is refused."""
    ts_close = np.arange(1, 1_001) * MINUTE_NS
    bars = Bars("x", MINUTE_NS, ts_close, *(np.ones(1_000) for _ in range(5)))
    examples = examples_of([bars], FIVE)
    folds = folds_of(examples.ts_event, FIVE.length_ns, 4)
    check_folds(folds, examples, FIVE.length_ns)
    for fold in folds:
        gap = examples.ts_event[fold.test].min() - examples.ts_event[fold.train].max()
        assert gap >= 2 * FIVE.length_ns
    tested = np.concatenate([fold.test for fold in folds])
    assert len(tested) == len(set(tested.tolist())) == round(len(examples) * 0.75)
    plain = Fold(np.arange(0, 500), np.arange(500, 600))
    with pytest.raises(LeakError):
        check_folds([plain], examples, FIVE.length_ns)


def test_calibration_in_walk_forward_equals_the_services(candles: Path) -> None:
    """The vectorised walk-forward and the live series say the same intervals, bar by bar."""
    from teleglas_prediction.domain.bars import Bar, Window
    from teleglas_prediction.domain.models import RandomWalk
    from teleglas_prediction.domain.series import Lineup, Outcome, Series

    bars = read_bars(candles)[0].until(900)
    examples = examples_of([bars], FIVE)
    at = np.arange(len(examples))
    scored = calibrated(examples, at, np.zeros(len(at)), examples.scale, FIVE)
    late = RandomWalk(needs_bars=MAX_BARS)
    lineups = {one.length_ns: Lineup((late,)) for one in HORIZONS}
    series = Series("1m", Window.empty(MINUTE_NS))
    resolved: list[Outcome] = []
    for row, ts_close in enumerate(bars.ts_close.tolist()):
        bar = Bar(
            ts_close - MINUTE_NS,
            float(bars.high[row]),
            float(bars.low[row]),
            float(bars.close[row]),
            float(bars.volume[row]),
            1.0,
        )
        resolved += series.take(bar, lineups).resolved
    assert len(resolved) == len(examples)
    widths = [2 * one.entry.halves[-1] for one in resolved]
    np.testing.assert_allclose(widths, scored.width, rtol=1e-9)
    losses = [one.loss or 0.0 for one in resolved]
    np.testing.assert_allclose(losses, scored.loss, rtol=1e-8)


def test_boosted_model_looks_without_surprise(trained: Path) -> None:
    """Whatever the trees say, median and scale stay within their bounds of the random walk's."""
    model = load_model(trained).model
    assert isinstance(model, Boosted)
    wild = Trees.of([0], [0], [1e6], [-1], [-1], features=1)
    untamed = Boosted("x", wild, wild)
    walk = untamed.look(View(feature_window()), FIVE)
    assert np.isfinite(walk.median)
    assert walk.scale > 0
    assert float(np.abs(walk.median)) <= float(walk.scale)


def feature_window() -> Any:
    from teleglas_prediction.domain.bars import Bar, Window

    window = Window.empty(MINUTE_NS)
    for at in range(MAX_BARS):
        close = 100 + at % 5
        window.take(Bar(at * MINUTE_NS, close + 1.0, close - 1.0, float(close), 1.0, 1.0))
    return window.columns()
