"""A gRPC server with health, reflection, deadlines, traces and metrics."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind

from teleglas_common.settings import GrpcSection
from teleglas_common.telemetry.metrics import Metrics

__all__ = ["Errors", "GrpcServer"]

Errors = Mapping[type[Exception], grpc.StatusCode]
"""Which status a named error of the domain becomes; its text is the detail."""

Register = Callable[[grpc.aio.Server], None]
GRACE_S = 5.0

_tracer = trace.get_tracer("teleglas.grpc")


class GrpcServer:
    """Serves the registered services until stopped. `port` is known once it is started."""

    def __init__(
        self,
        section: GrpcSection,
        register: Sequence[Register],
        names: Sequence[str],
        *,
        metrics: Metrics,
        errors: Errors | None = None,
    ) -> None:
        self._section = section
        self._register = tuple(register)
        self._names = tuple(names)
        self._interceptor = _Interceptor(metrics, errors or {}, section.default_deadline_s)
        self._server: grpc.aio.Server | None = None
        self._health = HealthServicer()
        self.port = 0

    async def start(self) -> None:
        limit = self._section.max_message_bytes
        server = grpc.aio.server(
            interceptors=[self._interceptor],
            maximum_concurrent_rpcs=self._section.max_concurrent_calls,
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.so_reuseport", 0),
            ],
        )
        for register in self._register:
            register(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        self.port = server.add_insecure_port(f"{self._section.host}:{self._section.port}")
        await server.start()
        self._server = server
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Say not serving, let running calls end, then stop."""
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(GRACE_S)


class _Interceptor(grpc.aio.ServerInterceptor):
    """Wraps every call: the caller's trace, a deadline, named errors as statuses, a histogram."""

    def __init__(self, metrics: Metrics, errors: Errors, deadline_s: float) -> None:
        self._metrics = metrics
        self._errors = errors
        self._deadline_s = deadline_s

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        name = str(handler_call_details.method)
        if handler is None or not name.startswith("/teleglas."):
            return handler
        carrier = {str(k): v for k, v in handler_call_details.invocation_metadata}
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(name, carrier, cast("Any", handler.unary_unary)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(name, carrier, cast("Any", handler.unary_stream)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return handler

    def _unary(self, name: str, carrier: dict[str, Any], call: Any) -> Any:
        async def wrapped(request: Any, context: Any) -> Any:
            with self._watched(name, carrier) as outcome:
                try:
                    return await call(request, context)
                except Exception as error:  # noqa: BLE001  becomes a status
                    await self._fail(error, context, outcome)

        return wrapped

    def _stream(self, name: str, carrier: dict[str, Any], call: Any) -> Any:
        async def wrapped(request: Any, context: Any) -> AsyncIterator[Any]:
            with self._watched(name, carrier) as outcome:
                try:
                    async for response in call(request, context):
                        yield response
                except Exception as error:  # noqa: BLE001  becomes a status
                    await self._fail(error, context, outcome)

        return wrapped

    @contextmanager
    def _watched(self, name: str, carrier: dict[str, Any]) -> Any:
        outcome = ["OK"]
        began = time.perf_counter()
        with _tracer.start_as_current_span(name, context=extract(carrier), kind=SpanKind.SERVER):
            try:
                yield outcome
            finally:
                seconds = time.perf_counter() - began
                self._metrics.histogram("teleglas_grpc_server_seconds", name, outcome[0]).observe(
                    seconds
                )

    async def _fail(self, error: Exception, context: Any, outcome: list[str]) -> None:
        """End the call with the error's status; what has none is raised on, as UNKNOWN."""
        if isinstance(error, grpc.aio.AbortError):
            outcome[0] = str(context.code())
            raise error
        for kind, code in self._errors.items():
            if isinstance(error, kind):
                outcome[0] = code.name
                await context.abort(code, str(error))
        outcome[0] = "UNKNOWN"
        raise error
