"""gRPC channels with deadlines, retries of safe calls, traces, metrics and the signed principal."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from teleglas_common.principal import METADATA_KEY
from teleglas_common.telemetry.metrics import Metrics

__all__ = ["call_metadata", "channel_credentials", "create_channel"]

_tracer = trace.get_tracer("teleglas.grpc")


def create_channel(
    target: str,
    *,
    safe_methods: Sequence[tuple[str, str]] = (),
    max_message_bytes: int = 8 << 20,
    credentials: grpc.ChannelCredentials | None = None,
    metrics: Metrics | None = None,
    default_deadline_s: float | None = None,
) -> grpc.aio.Channel:
    """A channel that spreads over all addresses of `target` and reconnects by itself.

    `safe_methods` are (service, method) pairs that may be repeated when the server is unavailable:
    at most three tries with back-off, within the call's own deadline. `default_deadline_s` holds
    for calls with one answer that name none.
    """
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    names = [{"service": service, "method": method} for service, method in safe_methods]
    config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if names:
        config["methodConfig"] = [{"name": names, "retryPolicy": policy}]
    options = [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]
    watch = _Watch(metrics)
    interceptors = [_Unary(watch, default_deadline_s), _Stream(watch)]
    if credentials is not None:
        return grpc.aio.secure_channel(
            target, credentials, options=options, interceptors=interceptors
        )
    return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)


def channel_credentials(
    ca_file: Path, cert_file: Path | None = None, key_file: Path | None = None
) -> grpc.ChannelCredentials:
    """TLS to a server that `ca_file` vouches for; with a certificate, ours is shown to it."""
    return grpc.ssl_channel_credentials(
        ca_file.read_bytes(),
        None if key_file is None else key_file.read_bytes(),
        None if cert_file is None else cert_file.read_bytes(),
    )


def call_metadata(principal_token: str | None = None) -> tuple[tuple[str, str], ...]:
    """Metadata of one call: the current trace, and who asks."""
    carrier: dict[str, str] = {}
    inject(carrier)
    if principal_token:
        carrier[METADATA_KEY] = principal_token
    return tuple(carrier.items())


class _Watch:
    """A span and a duration for each call."""

    def __init__(self, metrics: Metrics | None) -> None:
        self._metrics = metrics

    def begin(
        self, details: grpc.aio.ClientCallDetails, timeout_s: float | None
    ) -> tuple[grpc.aio.ClientCallDetails, Callable[[str], None]]:
        """The call under a span of its own, and what to call with the status when it is over."""
        raw: Any = details.method
        name = raw.decode() if isinstance(raw, bytes) else str(raw)
        span = _tracer.start_span(name, kind=SpanKind.CLIENT)
        carrier: dict[str, str] = {}
        inject(carrier, context=trace.set_span_in_context(span))
        kept = [(k, v) for k, v in details.metadata or () if k not in carrier]
        traced = grpc.aio.ClientCallDetails(
            method=details.method,
            timeout=timeout_s if details.timeout is None else details.timeout,
            metadata=grpc.aio.Metadata(*kept, *carrier.items()),
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )
        began_s = time.perf_counter()
        return traced, lambda status: self._end(span, name, began_s, status)

    def _end(self, span: Span, name: str, began_s: float, status: str) -> None:
        if status != "OK":
            span.set_status(Status(StatusCode.ERROR, status))
        span.end()
        if self._metrics is not None:
            self._metrics.histogram("teleglas_grpc_client_seconds", name, status).observe(
                time.perf_counter() - began_s
            )


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, watch: _Watch, default_deadline_s: float | None) -> None:
        self._watch = watch
        self._default_deadline_s = default_deadline_s

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        details, end = self._watch.begin(client_call_details, self._default_deadline_s)
        status = "CANCELLED"
        call = await continuation(details, request)
        try:
            status = (await call.code()).name
        except asyncio.CancelledError:
            call.cancel()
            raise
        finally:
            end(status)
        return call


class _Stream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, watch: _Watch) -> None:
        self._watch = watch
        self._ending: set[asyncio.Task[None]] = set()

    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        details, end = self._watch.begin(client_call_details, None)
        call = await continuation(details, request)

        async def finish() -> None:
            end((await call.code()).name)

        def over(_: Any) -> None:
            task = asyncio.get_running_loop().create_task(finish())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

        call.add_done_callback(over)
        return call
