"""What tail sampling keeps."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

from teleglas_common.testing import eventually
from tests.observability.stack import Jaeger, tracing

pytestmark = [pytest.mark.observability, pytest.mark.timeout(400)]

GOOD, BAD, SLOW, ALERTS = 2_000, 40, 10, 10
SHARE = 10.0
SECOND_NS = 1_000_000_000


def sent(endpoint: str) -> None:
    """Traces of four kinds, as services make them."""
    provider = TracerProvider(resource=Resource.create({"service.name": "made"}))
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=20_000))
    tracer = provider.get_tracer("test")
    for number in range(GOOD):
        with tracer.start_as_current_span("good"), tracer.start_as_current_span("child"):
            pass
        if number < BAD:
            with tracer.start_as_current_span("bad"), tracer.start_as_current_span("child") as span:
                span.set_status(Status(StatusCode.ERROR, "as ordered"))
        if number < SLOW:
            now_ns = time.time_ns()
            tracer.start_span("slow", start_time=now_ns - 3 * SECOND_NS).end(end_time=now_ns)
        if number < ALERTS:
            with tracer.start_as_current_span("alert") as span:
                span.set_attribute("teleglas.keep", True)
    assert provider.force_flush(60_000)
    provider.shutdown()


async def kept(jaeger: Jaeger, operation: str) -> int:
    return len(await jaeger.traces("made", operation, limit=GOOD))


async def test_all_errors_and_alerts_are_kept_and_a_share_of_the_rest(tmp_path: Path) -> None:
    """Every trace with an error in it, every slow one and every alert's; of the others a share."""
    async with tracing(tmp_path, share=SHARE, wait="2s") as traced:
        sent(traced.endpoint)
        jaeger = traced.jaeger

        async def assert_kept() -> None:
            assert await kept(jaeger, "bad") == BAD
            assert await kept(jaeger, "slow") == SLOW
            assert await kept(jaeger, "alert") == ALERTS
            assert await kept(jaeger, "good") > 0

        await eventually(assert_kept, timeout_s=60, every_s=1)
        good = 0

        async def is_over() -> bool:
            nonlocal good
            before, good = good, await kept(jaeger, "good")
            return before == good

        await eventually(is_over, timeout_s=60, every_s=4)
    expected = GOOD * SHARE / 100
    assert 0.6 * expected < good < 1.4 * expected
    print(
        f"kept: {BAD} of {BAD} errors, {SLOW} of {SLOW} slow, {ALERTS} of"
        f" {ALERTS} alerts, {good} of {GOOD} others"
    )
