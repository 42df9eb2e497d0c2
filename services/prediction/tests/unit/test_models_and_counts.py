"""What is told of models: by the list, by metrics, by the registry at the start."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from pydantic import SecretStr

from teleglas.prediction.v1.prediction_pb2 import Model as ModelMessage
from teleglas_common.settings import KafkaSection, PostgresSection
from teleglas_common.telemetry import Metrics
from teleglas_prediction.app import known_models
from teleglas_prediction.counts import Counts
from teleglas_prediction.domain.bars import Bar, Window
from teleglas_prediction.domain.features import FEATURES
from teleglas_prediction.domain.horizons import BY_NS, MAX_BARS, MINUTE_NS
from teleglas_prediction.domain.models import Boosted
from teleglas_prediction.domain.series import Series
from teleglas_prediction.domain.trees import Trees
from teleglas_prediction.lineups import KnownModel, Lineups
from teleglas_prediction.model_list import list_models
from teleglas_prediction.settings import ForecastsSection, Settings

FIVE_NS = 5 * MINUTE_NS


def lineups_of(*, beats_walk: bool = False) -> Lineups:
    leaf = Trees.of([0], [0], [0.01], [-1], [-1], features=1)
    known = KnownModel(
        Boosted("abc", leaf, leaf),
        FIVE_NS,
        FEATURES,
        10,
        20,
        "ab" * 32,
        {"skill": 0.01, "coverage_90": 0.9},
        beats_walk,
    )
    return Lineups([known])


def walked(lineups: Lineups, count: int) -> tuple[Series, Counts, Metrics]:
    """A series over so many minutes, counted as the shard counts."""
    metrics = Metrics.of("prediction")
    counts = Counts(metrics)
    series, source, price = Series("1m", Window.empty(MINUTE_NS)), random.Random(3), 100.0
    for at in range(count):
        price *= math.exp(source.gauss(0, 1e-3))
        bar = Bar((1_000 + at) * MINUTE_NS, price, price, price, 1.0, 1.0)
        step = series.take(bar, lineups.by_horizon)
        for entry in step.issued:
            counts.issued(entry)
        for outcome in step.resolved:
            counts.resolved(outcome, outcome.ts_resolved + 10**9)
    counts.stands([series])
    return series, counts, metrics


def metrics_of(message: ModelMessage) -> dict[str, float]:
    return {one.name: one.value for one in message.metrics}


def test_model_list_names_every_model_of_every_horizon() -> None:
    """The random walk at all, the trained one where it stands, with its origin."""
    models = list_models(lineups_of(beats_walk=True), [])
    walks = [one for one in models if one.name == "random-walk"]
    assert [one.horizon_ns for one in walks] == list(BY_NS)
    assert [one.champion for one in walks] == [False, True, True, True, True]
    (boosted,) = [one for one in models if one.name == "boosted"]
    assert (boosted.version, boosted.champion) == ("abc", True)
    assert (boosted.ts_data_from, boosted.ts_data_to) == (10, 20)
    assert tuple(boosted.features) == FEATURES
    assert metrics_of(boosted) == {"walk_forward_skill": 0.01, "walk_forward_coverage_90": 0.9}


def test_model_list_has_what_was_seen_live() -> None:
    """Resolved, coverage, loss and skill over the instruments; warm-up by what a model wants."""
    lineups = lineups_of()
    series, _, _ = walked(lineups, MAX_BARS + 50)
    models = list_models(lineups, [series])
    walk, boosted = (metrics_of(one) for one in models if one.horizon_ns == FIVE_NS)
    assert walk["live_resolved"] == MAX_BARS + 50 - 2 - 5
    assert boosted["live_resolved"] == 51 - 5
    assert 0.7 < walk["live_coverage_90"] <= 1
    assert walk["live_skill"] == 0.0
    assert boosted["live_skill"] != 0.0
    assert walk["warm_up"] == boosted["warm_up"] == 1.0
    few, _, _ = walked(lineups, 10)
    early = [metrics_of(one) for one in list_models(lineups, [few]) if one.horizon_ns == FIVE_NS]
    assert [one["warm_up"] for one in early] == [0.5, 10 / MAX_BARS]


def test_metrics_count_what_happened() -> None:
    """Forecasts, abstentions, outcomes by horizon and model; gauges of coverage and warm-up."""
    _, _, metrics = walked(lineups_of(), 40)
    labels = {"horizon": "5m", "model": "random-walk"}
    value = metrics.registry.get_sample_value
    assert value("teleglas_prediction_forecasts_total", labels) == 38
    assert value("teleglas_prediction_abstentions_total", labels) == 38
    assert value("teleglas_prediction_resolved_total", labels) == 33
    covered = value("teleglas_prediction_covered_total", labels)
    coverage = value("teleglas_prediction_coverage_ratio", labels)
    assert covered is not None
    assert coverage == pytest.approx(covered / 33)
    assert value("teleglas_prediction_warm_up_ratio", {"horizon": "5m"}) == 1.0
    assert value("teleglas_prediction_resolve_lag_seconds_count", {"horizon": "5m"}) == 33
    assert value("teleglas_prediction_forecasts_total", labels | {"horizon": "24h"}) == 0


def test_start_with_a_broken_registry_goes_on_and_counts_it(tmp_path: Path) -> None:
    """The service would rather forecast by the random walk than not at all."""
    (tmp_path / "boosted-5m-x.json").write_text("{")
    metrics = Metrics.of("prediction")
    settings = Settings(
        kafka=KafkaSection(bootstrap="localhost:1"),
        postgres=PostgresSection(dsn=SecretStr("postgresql://x")),
        forecasts=ForecastsSection(registry=tmp_path),
    )
    lineups = known_models(settings, Counts(metrics))
    assert {one.champion for one in lineups.by_horizon.values()} == {"random-walk"}
    name = "teleglas_prediction_registry_refusals_total"
    assert metrics.registry.get_sample_value(name, {"cause": "malformed"}) == 1


def test_a_registry_that_is_not_there_is_a_fresh_install(tmp_path: Path) -> None:
    """No folder, no model, no refusal."""
    settings = Settings(
        kafka=KafkaSection(bootstrap="localhost:1"),
        postgres=PostgresSection(dsn=SecretStr("postgresql://x")),
        forecasts=ForecastsSection(registry=tmp_path / "none"),
    )
    assert known_models(settings, Counts(Metrics.of("prediction"))).refusals == []
