"""What signal-scorer counts, by the names of the registry."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from teleglas_signal_scorer.domain.layer import Layer, Reading, View
from teleglas_signal_scorer.domain.registry import LAYERS
from teleglas_signal_scorer.domain.scoring import Score

__all__ = ["Counts", "Registry"]


class Counter(Protocol):
    """A number that only grows."""

    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    """A number that comes and goes."""

    def set(self, value: float) -> None: ...


class Histogram(Protocol):
    """Numbers by size."""

    def observe(self, value: float) -> None: ...


class Registry(Protocol):
    """Finds a metric by name and label values."""

    def gauge(self, name: str, *labels: str) -> Gauge: ...

    def counter(self, name: str, *labels: str) -> Counter: ...

    def histogram(self, name: str, *labels: str) -> Histogram: ...


class Counts:
    """Counters of one process."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.layers = tuple(self._timed(layer) for layer in LAYERS)

    def scored(self, score: Score, now_ns: int) -> None:
        """A score was made."""
        registry = self._registry
        registry.counter("teleglas_signals_scores_total", score.stance).inc()
        lag_s = (now_ns - score.tick) / 1e9
        registry.histogram("teleglas_signals_tick_lag_seconds").observe(max(0.0, lag_s))
        registry.gauge("teleglas_signals_confidence", score.instrument).set(score.confidence)
        registry.gauge("teleglas_signals_weights_version").set(score.weights_version)
        for one in score.contributions:
            if one.reason:
                registry.counter("teleglas_signals_weakened_total", one.layer).inc()

    def absent(self, names: tuple[str, ...]) -> None:
        """A tick was scored without inputs that had not come so far."""
        for name in names:
            self._registry.counter("teleglas_signals_missing_inputs_total", name).inc()

    def repeated(self, topic: str) -> None:
        """A record said nothing new."""
        self._registry.counter("teleglas_signals_repeated_records_total", topic).inc()

    def _timed(self, layer: Layer) -> Layer:
        histogram = self._registry.histogram("teleglas_signals_layer_seconds", layer.name)
        return replace(layer, read=_timed(layer.read, histogram))


def _timed(read: Callable[[View], Reading], histogram: Histogram) -> Callable[[View], Reading]:
    def timed(view: View) -> Reading:
        began_s = time.perf_counter()
        reading = read(view)
        histogram.observe(time.perf_counter() - began_s)
        return reading

    return timed
