import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from teleglas.market.v1 import candle_pb2
from teleglas.market.v1 import service_pb2 as pb
from teleglas.market.v1.service_pb2_grpc import (
    MarketDataServicer,
    MarketDataStub,
    add_MarketDataServicer_to_server,
)
from teleglas_common import grpc_client, grpc_server
from teleglas_common.clock import ManualClock
from teleglas_common.grpc_client import call_metadata, create_channel
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.principal import METADATA_KEY, Principal, Signer
from teleglas_common.settings import GrpcSection
from teleglas_common.telemetry import Metrics
from teleglas_common.testing import eventually

SERVICE = "teleglas.market.v1.MarketData"
LIST, STREAM = f"/{SERVICE}/ListMarkets", f"/{SERVICE}/StreamCandles"


FLOOD = pb.StreamCandlesResponse(candle=candle_pb2.Candle(instrument="x" * 800))


class MissingError(Exception):
    pass


class Markets(MarketDataServicer):
    """Does what a venue's name says."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.failures = 0
        self.cancelled = False
        self.floods = False
        self.flooded = 0

    async def ListMarkets(self, request: pb.ListMarketsRequest, context: Any) -> Any:  # noqa: N802
        self.metadata = dict(context.invocation_metadata())
        match request.venue:
            case "missing":
                raise MissingError("expected a known venue")
            case "broken":
                raise RuntimeError("password hunter2")
            case "slow":
                await asyncio.Event().wait()
            case "abort":
                await context.abort(grpc.StatusCode.OUT_OF_RANGE, "too far")
            case "flaky":
                self.failures += 1
                if self.failures < 3:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return pb.ListMarketsResponse(next_page_token="x" * 10)

    async def StreamCandles(  # noqa: N802
        self, request: pb.StreamCandlesRequest, context: Any
    ) -> AsyncIterator[pb.StreamCandlesResponse]:
        del request, context
        yield pb.StreamCandlesResponse()
        try:
            while self.floods:
                self.flooded += 1
                yield FLOOD
            await asyncio.Event().wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled = True
            raise


@pytest.fixture
async def rig() -> AsyncIterator[SimpleNamespace]:
    service: Any = Markets()  # type: ignore[abstract]  # one method of each kind will do
    metrics = Metrics()
    server = GrpcServer(
        GrpcSection(default_deadline_s=0.2, max_message_bytes=1_024),
        [lambda server: add_MarketDataServicer_to_server(service, server)],
        [SERVICE],
        metrics=metrics,
        errors={MissingError: grpc.StatusCode.NOT_FOUND},
    )
    await server.start()
    channel = create_channel(
        f"127.0.0.1:{server.port}", safe_methods=[(SERVICE, "ListMarkets")], metrics=metrics
    )
    yield SimpleNamespace(
        service=service,
        server=server,
        metrics=metrics,
        channel=channel,
        stub=MarketDataStub(channel),
    )
    await channel.close()
    await server.stop()


def calls(metrics: Metrics, side: str, method: str, code: str) -> float | None:
    return metrics.registry.get_sample_value(
        f"teleglas_grpc_{side}_seconds_count", {"method": method, "code": code}
    )


@pytest.mark.parametrize(
    ("venue", "code", "text"),
    [
        ("missing", grpc.StatusCode.NOT_FOUND, "expected a known venue"),
        ("broken", grpc.StatusCode.INTERNAL, "the server's log"),
        ("abort", grpc.StatusCode.OUT_OF_RANGE, "too far"),
        ("slow", grpc.StatusCode.DEADLINE_EXCEEDED, "within 0.2 s"),
    ],
)
async def test_an_error_becomes_its_status_and_is_counted(
    rig: SimpleNamespace, venue: str, code: grpc.StatusCode, text: str
) -> None:
    """Named errors have their code, unknown ones give nothing away, waiting has an end."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.stub.ListMarkets(pb.ListMarketsRequest(venue=venue))
    assert caught.value.code() is code
    assert text in str(caught.value.details())
    assert "hunter2" not in str(caught.value.details())
    assert calls(rig.metrics, "client", LIST, code.name) == 1
    await eventually(lambda: calls(rig.metrics, "server", LIST, code.name) == 1)


async def test_a_callers_deadline_holds(rig: SimpleNamespace) -> None:
    """A caller that allows less waits less."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.stub.ListMarkets(pb.ListMarketsRequest(venue="slow"), timeout=0.05)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: calls(rig.metrics, "server", LIST, "CANCELLED") == 1)


async def test_a_safe_call_is_repeated(rig: SimpleNamespace) -> None:
    """A server that is unavailable for a moment costs time, not an error."""
    answer = await rig.stub.ListMarkets(pb.ListMarketsRequest(venue="flaky"), timeout=5)
    assert answer.next_page_token
    assert rig.service.failures == 3


async def test_a_message_that_is_too_large_is_refused(rig: SimpleNamespace) -> None:
    """Nobody fills the server's memory with one request."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.stub.ListMarkets(pb.ListMarketsRequest(venue="x" * 10_000))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_cancelled_stream_ends_on_both_sides(rig: SimpleNamespace) -> None:
    """A reader that goes away leaves nothing running, and both sides count it."""
    stream = rig.stub.StreamCandles(pb.StreamCandlesRequest())
    assert await stream.read() == pb.StreamCandlesResponse()
    stream.cancel()
    await eventually(lambda: rig.service.cancelled)
    await eventually(lambda: calls(rig.metrics, "server", STREAM, "CANCELLED") == 1)
    await eventually(lambda: calls(rig.metrics, "client", STREAM, "CANCELLED") == 1)


async def test_a_principal_arrives_with_the_trace(
    rig: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's span is a child of the client's, and who asks is signed."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(grpc_client, "_tracer", tracer)
    monkeypatch.setattr(grpc_server, "_tracer", tracer)
    signer = Signer([b"k" * 32], ManualClock())
    with tracer.start_as_current_span("request"):
        token = signer.sign(Principal("default", "demo", ("read",)))
        await rig.stub.ListMarkets(pb.ListMarketsRequest(), metadata=call_metadata(token))
    await eventually(lambda: len(exporter.get_finished_spans()) == 3)
    by_kind = {span.kind.name: span for span in exporter.get_finished_spans()}
    server, client, caller = by_kind["SERVER"], by_kind["CLIENT"], by_kind["INTERNAL"]
    assert server.parent is not None
    assert client.parent is not None
    assert server.parent.span_id == client.context.span_id
    assert client.parent.span_id == caller.context.span_id
    assert signer.verify(rig.service.metadata[METADATA_KEY]).principal_id == "demo"


async def test_health_says_serving_until_the_stop(rig: SimpleNamespace) -> None:
    """Probes and load balancers know each service by name."""
    health = health_pb2_grpc.HealthStub(rig.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service=SERVICE))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_half_a_certificate_is_refused(tmp_path: Any) -> None:
    """A key without its certificate is a mistake, not a reason to speak plain text."""
    section = GrpcSection(tls_key_file=tmp_path / "key.pem")
    with pytest.raises(ValueError, match="both a TLS certificate and its key"):
        await GrpcServer(section, [], [], metrics=Metrics()).start()


async def test_a_stream_that_its_caller_leaves_while_it_speaks_ends_without_a_complaint(
    rig: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of messages that nobody reads: it is closed, counted, and its span ends."""
    rig.service.floods = True
    stream = rig.stub.StreamCandles(pb.StreamCandlesRequest())
    await stream.read()
    await eventually(lambda: rig.service.flooded > 100)
    stream.cancel()
    await eventually(lambda: rig.service.cancelled)
    await eventually(lambda: calls(rig.metrics, "server", STREAM, "CANCELLED") == 1)
    assert [one.name for one in caplog.records if one.levelname == "ERROR"] == []
