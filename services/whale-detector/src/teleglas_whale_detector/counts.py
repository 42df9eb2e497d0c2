"""What the detector counts, by the names of the registry."""

from __future__ import annotations

from typing import Protocol

from teleglas_whale_detector.domain.alerts import Kind, Stage

__all__ = ["Counter", "Counts", "Gauge", "Registry"]

CAUSES = (
    "no_market_print", "impossible", "late", "repeated", "older_epoch", "mis_scaled_price",
    "mis_scaled_size",
)  # fmt: skip


class Counter(Protocol):
    """A number that only grows."""

    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    """A number that comes and goes."""

    def set(self, value: float) -> None: ...


class Histogram(Protocol):
    """How long something took."""

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
        self._ignored = {
            cause: registry.counter("teleglas_whale_ignored_prints_total", cause)
            for cause in CAUSES
        }
        self._alerts = {
            (kind, stage): registry.counter(
                "teleglas_whale_alerts_total", kind.name.lower(), stage.name.lower()
            )
            for kind in Kind
            for stage in Stage
        }
        self._changelog = registry.counter("teleglas_whale_changelog_bytes_total")
        self._flush = registry.histogram("teleglas_whale_table_flush_seconds")

    def ignored(self, cause: str, count: int) -> None:
        self._ignored[cause].inc(count)

    def alert(self, kind: Kind, stage: Stage) -> None:
        self._alerts[kind, stage].inc()

    def books_missing(self, venue: str) -> None:
        self._registry.counter("teleglas_whale_books_missing_total", venue).inc()

    def resync(self, venue: str) -> None:
        self._registry.counter("teleglas_whale_book_resyncs_total", venue).inc()

    def flushed(self, changelog_bytes: int, seconds: float) -> None:
        self._changelog.inc(changelog_bytes)
        self._flush.observe(seconds)

    def stands(self, open_parents: int, warming_up: int, known: int) -> None:
        """So many parents are open; of the instruments so many warm up and so many are known."""
        self._registry.gauge("teleglas_whale_open_parents").set(open_parents)
        self._registry.gauge("teleglas_whale_instruments", "warming_up").set(warming_up)
        self._registry.gauge("teleglas_whale_instruments", "known").set(known)
