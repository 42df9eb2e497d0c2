"""One call at the start of every process."""

from __future__ import annotations

from teleglas_common.settings import TelemetrySection
from teleglas_common.telemetry.logs import configure_logs
from teleglas_common.telemetry.tracing import configure_tracing

__all__ = ["configure_telemetry"]

VERSION = "0.1.0"


def configure_telemetry(section: TelemetrySection, *, service: str) -> None:
    """Logs and traces of this process."""
    configure_logs(section, service)
    configure_tracing(section, service, VERSION)
