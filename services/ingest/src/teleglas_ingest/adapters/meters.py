"""What ingest counts, as Prometheus metrics of the shared registry."""

from __future__ import annotations

from collections.abc import Callable

from teleglas_common.telemetry import Metrics

__all__ = ["PrometheusMeters"]


class PrometheusMeters:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def configured(self, venue: str, shards: int, owned: Callable[[], int]) -> None:
        self._metrics.gauge("teleglas_ingest_configured_shards", venue).set(shards)
        self._metrics.gauge("teleglas_ingest_shards", venue).set_function(lambda: float(owned()))

    def frames(self, venue: str, count: int) -> None:
        self._metrics.counter("teleglas_ingest_frames_total", venue).inc(count)

    def events(self, venue: str, kind: str, count: int) -> None:
        self._metrics.counter("teleglas_ingest_events_total", venue, kind).inc(count)

    def refused(self, venue: str, cause: str) -> None:
        self._metrics.counter("teleglas_ingest_refused_total", venue, cause).inc()

    def repeated(self, venue: str, count: int) -> None:
        self._metrics.counter("teleglas_ingest_repeated_trades_total", venue).inc(count)

    def gap(self, venue: str, channel: str, cause: str) -> None:
        self._metrics.counter("teleglas_ingest_gaps_total", venue, channel, cause).inc()

    def open_gaps(self, venue: str, channel: str, count: int) -> None:
        self._metrics.gauge("teleglas_ingest_open_gaps", venue, channel).set(count)

    def connect(self, venue: str, outcome: str) -> None:
        self._metrics.counter("teleglas_ingest_connects_total", venue, outcome).inc()

    def connections(self, venue: str, count: int) -> None:
        self._metrics.gauge("teleglas_ingest_connections", venue).set(count)

    def backfilled(self, venue: str, trades: int) -> None:
        self._metrics.counter("teleglas_ingest_backfilled_trades_total", venue).inc(trades)

    def lost(self, venue: str, trades: int) -> None:
        self._metrics.counter("teleglas_ingest_lost_trades_total", venue).inc(trades)

    def silent(self, venue: str) -> None:
        self._metrics.counter("teleglas_ingest_silent_streams_total", venue).inc()

    def resynced(self, venue: str) -> None:
        self._metrics.counter("teleglas_ingest_resyncs_total", venue).inc()

    def delay(self, venue: str, seconds: float) -> None:
        self._metrics.histogram("teleglas_ingest_delay_seconds", venue).observe(seconds)
