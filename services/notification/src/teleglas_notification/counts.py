"""What notification counts, by the names of the registry."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Counter", "Counts", "Gauge", "Histogram", "Registry"]

SECOND_NS = 1_000_000_000


class Counter(Protocol):
    """A number that only grows."""

    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    """A number that comes and goes."""

    def set(self, value: float) -> None: ...


class Histogram(Protocol):
    """How long things take."""

    def observe(self, amount: float) -> None: ...


class Registry(Protocol):
    """Finds a metric by name and label values."""

    def gauge(self, name: str, *labels: str) -> Gauge: ...

    def counter(self, name: str, *labels: str) -> Counter: ...

    def histogram(self, name: str, *labels: str) -> Histogram: ...


class Counts:
    """Counters of one process."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def queued(self, count: int) -> None:
        if count:
            self._registry.counter("teleglas_notification_queued_total").inc(count)

    def delivered(self, channel: str, status: str, count: int = 1) -> None:
        """So many deliveries came to this status."""
        if count:
            name = "teleglas_notification_deliveries_total"
            self._registry.counter(name, channel, status).inc(count)

    def attempt(self, channel: str, outcome: str, seconds: float) -> None:
        """One call of a channel is over."""
        name = "teleglas_notification_attempts_total"
        self._registry.counter(name, channel, outcome).inc()
        name = "teleglas_notification_call_seconds"
        self._registry.histogram(name, channel).observe(seconds)

    def waited(self, channel: str, seconds: float) -> None:
        """A new message was taken so long after it was due."""
        name = "teleglas_notification_wait_seconds"
        self._registry.histogram(name, channel).observe(max(0.0, seconds))

    def asked_to_wait(self, channel: str, seconds: float) -> None:
        name = "teleglas_notification_retry_after_seconds_total"
        self._registry.counter(name, channel).inc(seconds)

    def possible_repeat(self, channel: str) -> None:
        """A call whose end we never saw is made again."""
        self._registry.counter("teleglas_notification_possible_repeats_total", channel).inc()

    def blocked(self, channel: str) -> None:
        self._registry.counter("teleglas_notification_blocked_total", channel).inc()

    def outbox(self, channel: str, depth: int, oldest_ns: int | None, now_ns: int) -> None:
        """So many messages wait; the oldest since then."""
        self._registry.gauge("teleglas_notification_outbox_messages", channel).set(depth)
        age_s = 0.0 if oldest_ns is None else max(0.0, (now_ns - oldest_ns) / SECOND_NS)
        self._registry.gauge("teleglas_notification_outbox_age_seconds", channel).set(age_s)

    def update(self, outcome: str) -> None:
        """An update of the bot was handled or dropped."""
        self._registry.counter("teleglas_notification_updates_total", outcome).inc()

    def picture(self, outcome: str) -> None:
        self._registry.counter("teleglas_notification_pictures_total", outcome).inc()
