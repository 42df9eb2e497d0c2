"""A gRPC server with health, reflection, deadlines, traces and metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, cast

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind, Status, StatusCode

from teleglas_common.settings import GrpcSection
from teleglas_common.telemetry.metrics import Metrics
from teleglas_common.tls import changed_at

__all__ = ["Errors", "GrpcServer", "call_limit"]

Errors = Mapping[type[Exception], grpc.StatusCode]
"""Which status a named error of the domain becomes; its text is the detail."""

Register = Callable[[grpc.aio.Server], None]
GRACE_S = 5.0

OK, CANCELLED = "OK", "CANCELLED"
STATUS_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}

log = structlog.get_logger(__name__)
_tracer = trace.get_tracer("teleglas.grpc")


def call_limit(context: Any, most_s: float) -> asyncio.Timeout:
    """Ends a call when its caller does not wait any more, at the latest after `most_s`."""
    remaining_s: float | None = context.time_remaining()
    return asyncio.timeout(most_s if remaining_s is None else min(remaining_s, most_s))


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
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.so_reuseport", 0),
            ],
        )
        for register in self._register:
            register(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        address = f"{self._section.host}:{self._section.port}"
        credentials = server_credentials(self._section)
        if credentials is None:
            self.port = server.add_insecure_port(address)
        else:
            self.port = server.add_secure_port(address, credentials)
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
                own_s = self._deadline_s if context.time_remaining() is None else None
                try:
                    async with asyncio.timeout(own_s) as limit:
                        return await call(request, context)
                except Exception as error:  # noqa: BLE001  becomes a status
                    late = isinstance(error, TimeoutError) and limit.expired()
                    await self._fail(error, context, outcome, late=late)

        return wrapped

    def _stream(self, name: str, carrier: dict[str, Any], call: Any) -> Any:
        # It writes instead of yielding: a caller that leaves while a response waits for it then
        # ends this very task, and with it the responses; a generator would be left to the garbage
        # collector, which closes it in another context than that of its span.
        async def wrapped(request: Any, context: Any) -> None:
            with self._watched(name, carrier) as outcome:
                try:
                    async with aclosing(call(request, context)) as responses:
                        async for response in responses:
                            await context.write(response)
                except Exception as error:  # noqa: BLE001  becomes a status
                    await self._fail(error, context, outcome)

        return wrapped

    @contextmanager
    def _watched(self, name: str, carrier: dict[str, Any]) -> Iterator[list[str]]:
        outcome = [OK]
        began_s = time.perf_counter()
        with _tracer.start_as_current_span(
            name, context=extract(carrier), kind=SpanKind.SERVER, record_exception=False
        ) as span:
            try:
                yield outcome
            except asyncio.CancelledError:
                outcome[0] = CANCELLED
                raise
            finally:
                if outcome[0] != OK:
                    span.set_status(Status(StatusCode.ERROR, outcome[0]))
                self._metrics.histogram("teleglas_grpc_server_seconds", name, outcome[0]).observe(
                    time.perf_counter() - began_s
                )

    async def _fail(
        self, error: Exception, context: Any, outcome: list[str], *, late: bool = False
    ) -> None:
        """End the call with the error's status; what has none is INTERNAL, logged, not shown."""
        if isinstance(error, grpc.aio.AbortError):
            code = context.code()
            outcome[0] = STATUS_NAMES.get(code, getattr(code, "name", str(code)))
            raise error
        code, text = self._status(error, late=late)
        outcome[0] = code.name
        await context.abort(code, text)

    def _status(self, error: Exception, *, late: bool) -> tuple[grpc.StatusCode, str]:
        if late:
            text = f"expected an answer within {self._deadline_s:g} s"
            return grpc.StatusCode.DEADLINE_EXCEEDED, text
        for kind, code in self._errors.items():
            if isinstance(error, kind):
                return code, str(error)
        log.error("call failed", exc_info=error)
        return grpc.StatusCode.INTERNAL, "the call failed; the server's log says why"


def server_credentials(section: GrpcSection) -> grpc.ServerCredentials | None:
    """TLS as the settings name it, None for plain text. Files that were replaced are read before
    the next handshake; what cannot be read leaves the last good certificate.
    """
    cert_file, key_file = section.tls_cert_file, section.tls_key_file
    if cert_file is None and key_file is None:
        return None
    if cert_file is None or key_file is None:
        raise ValueError("expected both a TLS certificate and its key, found one of them")
    ca_file = section.tls_client_ca_file
    files = (cert_file, key_file, ca_file)

    def read() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(key_file.read_bytes(), cert_file.read_bytes())],
            None if ca_file is None else ca_file.read_bytes(),
        )

    seen = changed_at(files)

    def fetch() -> Any:
        nonlocal seen
        try:
            now = changed_at(files)
            if now == seen:
                return None
            fresh = read()
        except OSError as error:
            log.warning("certificate could not be read again", error=str(error))
            return None
        seen = now
        return fresh

    return grpc.dynamic_ssl_server_credentials(
        read(), fetch, require_client_authentication=ca_file is not None
    )
