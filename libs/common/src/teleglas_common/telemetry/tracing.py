"""Traces: an exporter that never blocks the work."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from teleglas_common.settings import TelemetrySection

__all__ = ["LinkedOrRatio", "configure_tracing", "flush_traces", "is_traced"]

QUEUE_SPANS = 4_096
EXPORT_TIMEOUT_MS = 5_000
FLUSH_TIMEOUT_S = 3.0


class LinkedOrRatio(Sampler):
    """Of spans without a parent: those that link to a recorded span, and a share of the others.

    Else what was recorded of a trade would end where its batch meets others.
    """

    def __init__(self, ratio: float) -> None:
        self._all = TraceIdRatioBased(1.0)
        self._ratio = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        linked = any(link.context.trace_flags.sampled for link in links or ())
        chosen = self._all if linked else self._ratio
        return chosen.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return f"LinkedOrRatio{{{self._ratio.rate}}}"


def configure_tracing(section: TelemetrySection, service: str, version: str) -> None:
    """Export spans to the OTLP endpoint of the settings; without one, do nothing at all.

    Spans wait in a bounded queue and are dropped, not waited for, when it is full.
    """
    if not section.otlp_endpoint:
        return
    resource = Resource.create({"service.name": service, "service.version": version})
    sampler = ParentBased(LinkedOrRatio(section.sample_ratio))
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    insecure = not section.otlp_endpoint.startswith("https")
    exporter = OTLPSpanExporter(endpoint=section.otlp_endpoint, insecure=insecure, timeout=5)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=500,
            export_timeout_millis=EXPORT_TIMEOUT_MS,
        )
    )
    trace.set_tracer_provider(provider)


def is_traced() -> bool:
    """Whether spans of this process go anywhere. Making one that does not costs as much as
    encoding a record.
    """
    return isinstance(trace.get_tracer_provider(), TracerProvider)


def flush_traces(timeout_s: float = FLUSH_TIMEOUT_S) -> None:
    """Export what waits, at the end of a process; what no collector takes in time is lost.

    The SDK's own shutdown retries for half a minute when the collector is away (measured: 26 s),
    which is longer than a process is given to end.
    """
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        flushing = threading.Thread(target=provider.shutdown, name="flush traces", daemon=True)
        flushing.start()
        flushing.join(timeout_s)
