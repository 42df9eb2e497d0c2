"""A real OTLP receiver: what the services export, as one graph."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["SpanSeen", "Traces", "receiving"]

SpanId = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class SpanSeen:
    """One span and the service that made it."""

    service: str
    span: Span

    @property
    def id(self) -> SpanId:
        return (self.span.trace_id, self.span.span_id)

    @property
    def origins(self) -> set[SpanId]:
        """Its parent and its links."""
        found = {(link.trace_id, link.span_id) for link in self.span.links}
        if self.span.parent_span_id:
            found.add((self.span.trace_id, self.span.parent_span_id))
        return found

    def __str__(self) -> str:
        return f"{self.service}: {self.span.name}"


@dataclass(slots=True)
class Traces:
    """Everything that was received."""

    endpoint: str
    spans: dict[SpanId, SpanSeen] = field(default_factory=dict)

    def take(self, request: trace_service_pb2.ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            service = next(
                attribute.value.string_value
                for attribute in resource.resource.attributes
                if attribute.key == "service.name"
            )
            for scope in resource.scope_spans:
                for span in scope.spans:
                    seen = SpanSeen(service, span)
                    self.spans[seen.id] = seen

    def way_back(self, last: SpanSeen, names: Sequence[str]) -> tuple[SpanSeen, ...] | None:
        """A chain of parents and links with these names that ends in `last`, None without one."""
        if str(last) != names[-1]:
            return None
        if len(names) == 1:
            return (last,)
        for origin in last.origins:
            found = self.spans.get(origin)
            way = self.way_back(found, names[:-1]) if found is not None else None
            if way is not None:
                return (*way, last)
        return None


class _Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    async def Export(  # noqa: N802  # the name that OTLP gives it
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: object,  # noqa: ARG002
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self._traces.take(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@asynccontextmanager
async def receiving() -> AsyncIterator[Traces]:
    """Listen on a free port."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    traces = Traces(f"127.0.0.1:{port}")
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Receiver(traces), server)
    await server.start()
    try:
        yield traces
    finally:
        await server.stop(None)
