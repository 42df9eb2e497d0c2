"""Logs, traces and metrics."""

from teleglas_common.telemetry.logs import configure_logs
from teleglas_common.telemetry.metrics import Metrics
from teleglas_common.telemetry.setup import configure_telemetry
from teleglas_common.telemetry.tracing import configure_tracing, flush_traces

__all__ = [
    "Metrics",
    "configure_logs",
    "configure_telemetry",
    "configure_tracing",
    "flush_traces",
]
