"""Metrics by name, from one registry; a name that it does not know is an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Self

from opentelemetry import trace
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from teleglas_common.telemetry.registry import SHARED_OWNERS, registered
from teleglas_contracts.topic import Topic

__all__ = ["BusMetrics", "Metrics"]

Metric = Counter | Gauge | Histogram

# One more series for each counter and histogram, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]


class TracedHistogram(Histogram):
    """A histogram whose buckets remember the last recorded trace that fell into them."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        context = trace.get_current_span().get_span_context()
        if exemplar is None and context.trace_flags.sampled:
            exemplar = {"trace_id": f"{context.trace_id:032x}"}
        super().observe(amount, exemplar)


class Metrics:
    """The metrics of one process, made on first use. Label values go in registry order."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._made: dict[str, Metric] = {}
        self._children: dict[tuple[str, ...], Metric] = {}

    @classmethod
    def of(
        cls,
        service: str,
        *,
        reads: Sequence[Topic] = (),
        writes: Sequence[Topic] = (),
        **known: Sequence[str],
    ) -> Self:
        """The metrics of a service from the start: its own, the bus', gRPC's and the process'.

        Counters and histograms stand at 0 for every label value that the registry, the topics or
        `known` name, such as `venue=("binance", "okx")`.
        """
        metrics = cls()
        ProcessCollector(registry=metrics.registry)
        GCCollector(registry=metrics.registry)
        partitions = max((topic.partitions for topic in reads), default=0)
        values = {
            "reads": [topic.name for topic in reads],
            "writes": [topic.name for topic in writes],
            "partition": [str(number) for number in range(partitions)],
            **known,
        }
        metrics.declare(service, *SHARED_OWNERS, known=values)
        return metrics

    def declare(self, *owners: str, known: Mapping[str, Sequence[str]]) -> None:
        """Make what these owners have; all but gauges at 0 where their label values are known."""
        for spec in registered().values():
            if spec.owner not in owners:
                continue
            self._find(spec.name, spec.type)
            values = [
                spec.values.get(label) or known.get(spec.known.get(label, label), ())
                for label in spec.labels
            ]
            if spec.type != "gauge":
                for labels in product(*values):
                    self._child(spec.name, spec.type, labels)

    def page(self, accept: str) -> tuple[bytes, str]:
        """What a scrape is answered, and its content type; exemplars are in OpenMetrics only."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def counter(self, name: str, *labels: str) -> Counter:
        """The counter's child for these label values."""
        return self._child(name, "counter", labels)  # type: ignore[return-value]

    def gauge(self, name: str, *labels: str) -> Gauge:
        """The gauge's child for these label values."""
        return self._child(name, "gauge", labels)  # type: ignore[return-value]

    def histogram(self, name: str, *labels: str) -> Histogram:
        """The histogram's child for these label values."""
        return self._child(name, "histogram", labels)  # type: ignore[return-value]

    def _child(self, name: str, kind: str, labels: tuple[str, ...]) -> Metric:
        child = self._children.get((kind, name, *labels))
        if child is None:
            metric = self._find(name, kind)
            child = metric.labels(*labels) if labels else metric
            self._children[kind, name, *labels] = child
        return child

    def _find(self, name: str, kind: str) -> Metric:
        spec = registered().get(name)
        if spec is None or spec.type != kind:
            found = "nothing" if spec is None else f"a {spec.type}"
            raise KeyError(f"expected a {kind} named {name} in the registry, found {found}")
        metric = self._made.get(name)
        if metric is None:
            if kind == "counter":
                metric = Counter(name, spec.help, spec.labels, registry=self.registry)
            elif kind == "gauge":
                metric = Gauge(name, spec.help, spec.labels, registry=self.registry)
            else:
                metric = TracedHistogram(
                    name, spec.help, spec.labels, buckets=spec.buckets, registry=self.registry
                )
            self._made[name] = metric
        return metric


class BusMetrics:
    """What a worker counts, as Prometheus metrics. `group` is its consumer group."""

    def __init__(self, metrics: Metrics, group: str) -> None:
        self._metrics = metrics
        self._group = group

    def records(self, topic: str, count: int) -> None:
        self._metrics.counter("teleglas_bus_records_total", topic).inc(count)

    def batch(self, topic: str, count: int, seconds: float) -> None:
        del count
        self._metrics.histogram("teleglas_bus_turn_seconds", topic).observe(seconds)

    def poison(self, topic: str, cause: str) -> None:
        self._metrics.counter("teleglas_bus_poison_total", topic, cause).inc()

    def lag(self, topic: str, partition: int, records: int) -> None:
        self._metrics.gauge("teleglas_bus_lag_records", topic, str(partition)).set(records)

    def lost(self, topic: str, partition: int, records: int) -> None:
        self._metrics.counter("teleglas_bus_lost_records_total", topic, str(partition)).inc(records)

    def checkpoint(self, seconds: float) -> None:
        self._metrics.histogram("teleglas_bus_checkpoint_seconds").observe(seconds)

    def retry(self, cause: str) -> None:
        self._metrics.counter("teleglas_bus_retries_total", cause).inc()

    def shards(self, count: int) -> None:
        self._metrics.gauge("teleglas_bus_shards", self._group).set(count)
