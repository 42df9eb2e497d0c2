"""A publisher that is counted."""

from __future__ import annotations

import time

from prometheus_client import Counter

from teleglas_common.bus.ports import Outgoing, Publisher
from teleglas_common.telemetry.metrics import Metrics

__all__ = ["MeasuredPublisher"]


class MeasuredPublisher:
    """Counts what goes into another publisher, and how long senders wait for it."""

    def __init__(self, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._waits = metrics.histogram("teleglas_bus_publish_seconds")
        self._counters: dict[str, tuple[Counter, Counter]] = {}
        self._flushes = metrics.histogram("teleglas_bus_flush_seconds")
        metrics.gauge("teleglas_bus_in_flight_bytes").set_function(
            lambda: float(getattr(publisher, "in_flight_bytes", 0))
        )

    async def start(self) -> None:
        await self._publisher.start()

    async def send(self, record: Outgoing) -> None:
        began_s = time.perf_counter()
        await self._publisher.send(record)
        self._waits.observe(time.perf_counter() - began_s)
        records, size_bytes = self._counters.get(record.topic) or self._of(record.topic)
        records.inc()
        size_bytes.inc(record.size_bytes)

    def _of(self, topic: str) -> tuple[Counter, Counter]:
        found = self._counters[topic] = (
            self._metrics.counter("teleglas_bus_published_records_total", topic),
            self._metrics.counter("teleglas_bus_published_bytes_total", topic),
        )
        return found

    async def flush(self) -> None:
        began_s = time.perf_counter()
        await self._publisher.flush()
        self._flushes.observe(time.perf_counter() - began_s)

    async def stop(self) -> None:
        await self._publisher.stop()
