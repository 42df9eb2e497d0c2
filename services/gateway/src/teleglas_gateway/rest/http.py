"""The HTTP server: uvicorn, with bounds for slow or endless request heads, the stream beside."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from teleglas_common.settings import HttpSection

__all__ = ["BoundedHttp", "HttpServer"]

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 10.0
BACKLOG = 4096
GRACE_S = 8


class BoundedHttp(HttpToolsProtocol):
    """uvicorn bounds neither the size nor the time of a request's head."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._stop_watching()
                self.send_400_response("Request head too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_timer is None:
            self._watch_head()

    def on_headers_complete(self) -> None:
        self._stop_watching()
        super().on_headers_complete()

    def _watch_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Embedded(uvicorn.Server):
    """Signals belong to the process, not to this part of it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Listens from `start` on; `stop` lets requests finish and clients leave."""

    def __init__(
        self,
        section: HttpSection,
        app: FastAPI,
        stream: type[asyncio.Protocol],
        *,
        trusted_proxies: str = "127.0.0.1",
    ) -> None:
        self._section = section
        config = uvicorn.Config(
            app,
            http=BoundedHttp,
            ws=stream,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=trusted_proxies,
            timeout_graceful_shutdown=GRACE_S,
            backlog=BACKLOG,
        )
        self._server = _Embedded(config)
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that answers, once started."""
        if self._socket is None:
            raise RuntimeError("expected a started server, it has not been started")
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        family = socket.AF_INET6 if ":" in self._section.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((self._section.host, self._section.port))
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({listening, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._serving.done():
            await self._serving

    async def run(self) -> None:
        """Until the server ends."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
