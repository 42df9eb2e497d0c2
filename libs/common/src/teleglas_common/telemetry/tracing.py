"""Traces: an exporter that never blocks the work."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from teleglas_common.settings import TelemetrySection

__all__ = ["configure_tracing", "flush_traces"]

QUEUE_SPANS = 4_096
EXPORT_TIMEOUT_MS = 5_000


def configure_tracing(section: TelemetrySection, service: str, version: str) -> None:
    """Export spans to the OTLP endpoint of the settings; without one, do nothing at all.

    Spans wait in a bounded queue and are dropped, not waited for, when it is full.
    """
    if not section.otlp_endpoint:
        return
    resource = Resource.create({"service.name": service, "service.version": version})
    sampler = ParentBased(TraceIdRatioBased(section.sample_ratio))
    provider = TracerProvider(resource=resource, sampler=sampler)
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


def flush_traces() -> None:
    """Export what waits, at the end of a process."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()
