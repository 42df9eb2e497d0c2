"""What the stream server does, as metrics and spans."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from time import time_ns

from prometheus_client import Counter, Histogram

from teleglas_common.bus.ports import Record
from teleglas_common.bus.tracing import consumer_span, is_sampled
from teleglas_common.telemetry import Metrics
from teleglas_gateway.channels.base import Channel
from teleglas_gateway.stream.recent import Recent
from teleglas_gateway.stream.sequence import Event

__all__ = ["StreamMetrics"]

NS_PER_S = 1_000_000_000


class StreamMetrics:
    """Counts for the hub and for the sessions."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sent_bytes = metrics.counter("teleglas_gateway_sent_bytes_total")
        self._channels: dict[str, tuple[Counter, Counter, Histogram]] = {}
        self.clients("websocket", 0)

    def poison(self, topic: str, cause: str) -> None:
        self._metrics.counter("teleglas_bus_poison_total", topic, cause).inc()

    def delivered(
        self, channel: Channel, events: Sequence[Event], deliveries: int, sent_bytes: int
    ) -> None:
        if not deliveries:
            return
        known = self._channels.get(channel.name)
        if known is None:
            known = self._channels[channel.name] = (
                self._metrics.counter("teleglas_gateway_messages_total", channel.name),
                self._metrics.counter("teleglas_gateway_encodes_total", channel.name),
                self._metrics.histogram("teleglas_gateway_freshness_seconds", channel.name),
            )
        messages, encodes, freshness = known
        messages.inc(deliveries)
        self._sent_bytes.inc(sent_bytes)
        encodes.inc(sum(event.encodes for event in events))
        received_ns = channel.received_ns(events[0].payload)
        if received_ns:
            freshness.observe((time_ns() - received_ns) / NS_PER_S)

    def writing(self, records: Sequence[Record]) -> AbstractContextManager[None]:
        """A span under the producers' spans, where those are recorded."""
        sampled = [record for record in records if is_sampled(record)]
        if not sampled:
            return nullcontext()
        return consumer_span(f"stream {sampled[0].topic}", sampled)

    def refused(self, code: str) -> None:
        self._metrics.counter("teleglas_gateway_refusals_total", code).inc()

    def closed(self, reason: str) -> None:
        self._metrics.counter("teleglas_gateway_closes_total", reason).inc()

    def resumed(self, recovered: bool, reason: str) -> None:
        outcome = "recovered" if recovered else reason
        self._metrics.counter("teleglas_gateway_resumes_total", outcome).inc()

    def watch_recent(self, recent: Recent) -> None:
        self._metrics.gauge("teleglas_gateway_recent_bytes").set_function(lambda: recent.held_bytes)

    def replays_log(self) -> None:
        self._metrics.counter("teleglas_gateway_log_replays_total").inc()

    def skipped(self, channel: str, messages: int) -> None:
        self._metrics.counter("teleglas_gateway_skipped_total", channel).inc()
        self._metrics.counter("teleglas_gateway_conflated_total", channel).inc(messages)

    def clients(self, protocol: str, count: int) -> None:
        self._metrics.gauge("teleglas_gateway_clients", protocol).set(count)

    def subscriptions(self, channel: str, change: int) -> None:
        self._metrics.gauge("teleglas_gateway_subscriptions", channel).inc(change)
