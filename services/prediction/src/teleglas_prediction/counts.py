"""What prediction counts, by the names of the registry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

from teleglas_prediction.domain.horizons import SECOND_NS, SETTLED_BARS, horizons_on, label_of
from teleglas_prediction.domain.models import RANDOM_WALK
from teleglas_prediction.domain.series import Entry, Outcome, Series
from teleglas_prediction.domain.skill import Skill

__all__ = ["Counter", "Counts", "Gauge", "Histogram", "Registry", "pooled"]


class Counter(Protocol):
    """A number that only grows."""

    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    """A number that comes and goes."""

    def set(self, value: float) -> None: ...


class Histogram(Protocol):
    """A distribution."""

    def observe(self, amount: float) -> None: ...


class Registry(Protocol):
    """Finds a metric by name and label values."""

    def gauge(self, name: str, *labels: str) -> Gauge: ...

    def counter(self, name: str, *labels: str) -> Counter: ...

    def histogram(self, name: str, *labels: str) -> Histogram: ...


def pooled(skills: Iterable[Skill]) -> Skill | None:
    """One skill of several instruments' by their plain mean; None without a resolved forecast."""
    known = [skill for skill in skills if skill.resolved]
    if not known:
        return None
    return Skill(
        sum(skill.resolved for skill in known),
        *(
            sum(getattr(skill, name) for skill in known) / len(known)
            for name in ("covered", "width", "loss", "walk_loss", "error", "walk_error")
        ),
    )


class Counts:
    """Counters of one process."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def issued(self, entry: Entry) -> None:
        labels = (label_of(entry.horizon_ns), entry.model)
        self._registry.counter("teleglas_prediction_forecasts_total", *labels).inc()
        if not entry.direction.sign:
            self._registry.counter("teleglas_prediction_abstentions_total", *labels).inc()

    def resolved(self, outcome: Outcome, now_ns: int) -> None:
        label = label_of(outcome.entry.horizon_ns)
        if outcome.price is None:
            self._registry.counter("teleglas_prediction_voided_total", label).inc()
            return
        labels = (label, outcome.entry.model)
        self._registry.counter("teleglas_prediction_resolved_total", *labels).inc()
        if outcome.covered[-1]:
            self._registry.counter("teleglas_prediction_covered_total", *labels).inc()
        lag_s = max(0.0, (now_ns - outcome.ts_resolved) / SECOND_NS)
        self._registry.histogram("teleglas_prediction_resolve_lag_seconds", label).observe(lag_s)

    def refused_model(self, cause: str) -> None:
        self._registry.counter("teleglas_prediction_registry_refusals_total", cause).inc()

    def skipped(self) -> None:
        self._registry.counter("teleglas_prediction_skipped_candles_total").inc()

    def stands(self, every: Iterable[Series]) -> None:
        """All series of this process: their live skill and how far their warm-up is."""
        skills: dict[tuple[str, str], list[Skill]] = defaultdict(list)
        warm: dict[str, list[float]] = defaultdict(list)
        for series in every:
            for (horizon_ns, model, _), standing in series.standings.items():
                skills[label_of(horizon_ns), model].append(standing.skill)
            for horizon in horizons_on(series.interval):
                warm[horizon.name].append(min(1.0, len(series.window) / SETTLED_BARS))
        for name, shares in warm.items():
            gauge = self._registry.gauge("teleglas_prediction_warm_up_ratio", name)
            gauge.set(sum(shares) / len(shares))
        for labels, found in skills.items():
            skill = pooled(found)
            if skill is not None:
                self._show(labels, skill)

    def _show(self, labels: tuple[str, str], skill: Skill) -> None:
        values = {
            "teleglas_prediction_coverage_ratio": skill.covered,
            "teleglas_prediction_width_ratio": skill.width,
            "teleglas_prediction_pinball_loss_ratio": skill.loss,
        }
        if labels[1] != RANDOM_WALK:
            values["teleglas_prediction_skill_ratio"] = skill.over_walk
        for name, value in values.items():
            self._registry.gauge(name, *labels).set(value)
