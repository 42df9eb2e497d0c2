import asyncio
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import structlog
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from teleglas_common.settings import TelemetrySection
from teleglas_common.telemetry import configure_logs
from teleglas_common.telemetry.logs import scrubbed


def test_logs_mask_secrets() -> None:
    """Fields named like secrets and passwords in URLs are not written, however deep they lie."""
    event = {
        "api_key": "abc",
        "url": "postgresql://u:hunter2@h/x",
        "count": 3,
        "request": {"headers": {"Authorization": "Bearer abc"}, "path": "/v1"},
        "tried": ["redis://:hunter2@h", "redis://h"],
    }
    assert scrubbed(None, "info", event) == {
        "api_key": "***",
        "url": "postgresql://u:***@h/x",
        "count": 3,
        "request": {"headers": {"Authorization": "***"}, "path": "/v1"},
        "tried": ["redis://:***@h", "redis://h"],
    }


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logs(TelemetrySection(log_format="json"), "example")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_a_log_line_is_json_with_its_trace(logs: Any) -> None:
    """Our lines and those of libraries share one form, and a line finds its trace."""
    context = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)):
        structlog.get_logger("ours").info("counted", trades=3)
    logging.getLogger("theirs").warning("slow: %s", "redis://:hunter2@cache")
    ours, theirs = logs()
    assert (ours["event"], ours["trades"], ours["service"]) == ("counted", 3, "example")
    assert (ours["trace_id"], ours["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert (theirs["event"], theirs["level"]) == ("slow: redis://:***@cache", "warning")


def test_an_error_is_logged_without_its_secrets(logs: Any) -> None:
    """A traceback does not give a password away."""
    error = OSError("no route to postgresql://u:hunter2@db/x")
    structlog.get_logger("ours").error("failed", exc_info=error, dsn="postgresql://u:hunter2@db/x")
    (line,) = logs()
    assert "no route" in line["exception"]
    assert "hunter2" not in json.dumps(line)


PROGRAM = """
import sys
from opentelemetry import trace
from teleglas_common.settings import TelemetrySection
from teleglas_common.telemetry import configure_tracing, flush_traces

section = TelemetrySection(otlp_endpoint=sys.argv[1], sample_ratio=1.0)
configure_tracing(section, "example", "1")
tracer = trace.get_tracer("test")
for _ in range(10_000):
    with tracer.start_as_current_span("work"):
        pass
flush_traces(1.0)
"""


class Collector(otlp_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        for resource in request.resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.services.add(names["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return otlp.ExportTraceServiceResponse()


@pytest.fixture
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    collector, server = Collector(), grpc.aio.server()
    otlp_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield collector, f"http://127.0.0.1:{port}"
    await server.stop(None)


def run_program(folder: Path, endpoint: str) -> float:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    began_s = time.monotonic()
    subprocess.run(
        [sys.executable, str(program), endpoint], check=True, capture_output=True, timeout=60
    )
    return time.monotonic() - began_s


async def test_spans_reach_a_collector(collector: tuple[Collector, str], tmp_path: Path) -> None:
    """What was recorded is exported by the end of the process, under the service's name."""
    received, endpoint = collector
    await asyncio.to_thread(run_program, tmp_path, endpoint)
    assert received.services == {"example"}
    assert {span.name for span in received.spans} == {"work"}


async def test_a_collector_that_is_away_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Spans are dropped, the work goes on and the process ends."""
    assert await asyncio.to_thread(run_program, tmp_path, "http://127.0.0.1:9") < 20
