"""`/health`, `/ready` and `/metrics` for services that serve no other HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json

from teleglas_common.health import Health
from teleglas_common.settings import HttpSection
from teleglas_common.telemetry.metrics import Metrics

__all__ = ["HealthServer"]

REQUEST_TIMEOUT_S = 5.0
MAX_HEADER_BYTES = 16 * 1024
MAX_CONNECTIONS = 64


class HealthServer:
    """A few lines of HTTP/1.1: GET, one request a connection, everything bounded."""

    def __init__(self, section: HttpSection, health: Health, metrics: Metrics) -> None:
        self._section = section
        self._health = health
        self._metrics = metrics
        self._server: asyncio.Server | None = None
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    @property
    def port(self) -> int:
        """The port that answers, once started."""
        if self._server is None:
            raise RuntimeError("expected a started server, it has not been started")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, self._section.host, self._section.port, limit=MAX_HEADER_BYTES
        )

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), REQUEST_TIMEOUT_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._places.locked():
            writer.transport.abort()
            return
        async with self._places:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._answer(head))
                    await writer.drain()
            except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                writer.transport.abort()
            finally:
                writer.close()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response(405, b"expected GET\n", "text/plain")
        whole = await self._page(path, _header(rest, b"accept"))
        return whole if method == b"GET" else whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    async def _page(self, path: bytes, accept: str) -> bytes:
        match path:
            case b"/health":
                report = self._health.liveness()
            case b"/ready":
                report = await self._health.readiness()
            case b"/metrics":
                return _response(200, *self._metrics.page(accept))
            case _:
                return _response(404, b"expected /health, /ready or /metrics\n", "text/plain")
        body = json.dumps(report.as_dict()).encode()
        return _response(200 if report.ok else 503, body, "application/json")


REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def _header(head: bytes, name: bytes) -> str:
    """The value of a header, empty without one."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().decode("latin-1")
    return ""


def _response(status: int, body: bytes, kind: str) -> bytes:
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
