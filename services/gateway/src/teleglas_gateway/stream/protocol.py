"""WebSocket connections on the port of the REST API, written without a copy a client.

uvicorn hands the transport over at the Upgrade header. What comes in is parsed by the sans-I/O
protocol of `websockets`, with its bounds; what goes out are finished frames, each built once for
all clients. Compression is off: it would have to be done again for every client.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import msgspec
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from teleglas_gateway.domain.frames import ping_frame
from teleglas_gateway.domain.problems import Problem
from teleglas_gateway.stream.server import Pulse, StreamServer
from teleglas_gateway.stream.session import Session

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

__all__ = ["StreamProtocol", "stream_protocol"]

KERNEL_BYTES = 128 * 1024
"""What the kernel may hold for a client (Linux doubles it); left alone it takes 4 MB of each."""
WRITE_HIGH_BYTES = 64 * 1024
WRITE_LOW_BYTES = 16 * 1024


class StreamProtocol(asyncio.Protocol):
    """One connection, from the handshake to the last byte."""

    def __init__(self, server: StreamServer, state: ServerState | None) -> None:
        self._server = server
        self._connections: set[Any] | None = None if state is None else state.connections
        self._parser = ServerProtocol(max_size=server.settings.max_frame_bytes)
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._pulse = Pulse(server.settings, time.monotonic(), self._ping)
        self._fragments: list[bytes] = []
        self._deadline: asyncio.TimerHandle | None = None
        self._reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's
        self._transport = stream = cast(asyncio.Transport, transport)
        plug = transport.get_extra_info("socket")
        if plug is not None:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        stream.set_write_buffer_limits(high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES)
        if self._connections is not None:
            self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # any end is an end
        if self._connections is not None:
            self._connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._session is not None:
            self._server.closed(self._session)
        self._transport = None

    def pause_writing(self) -> None:
        if self._session is not None:
            self._session.outbox.pause()

    def resume_writing(self) -> None:
        if self._session is not None:
            self._session.outbox.resume()

    def data_received(self, data: bytes) -> None:
        self._pulse.heard(time.monotonic())
        self._parser.receive_data(data)
        if self._deadline is not None:
            self._linger()
            return
        for event in self._parser.events_received():
            if isinstance(event, Request):
                self._open(event)
            elif isinstance(event, Frame):
                self._take(event)
        self._flush_parser()

    def eof_received(self) -> bool:
        return False

    def shutdown(self) -> None:
        """uvicorn's word that the process stops; the server has said goodbye already."""
        if self._session is not None and self._session.is_open:
            self._server.say_goodbye()
        elif self._transport is not None and self._deadline is None:
            self._transport.close()

    def writer(self) -> Callable[[bytes], object]:
        """The transport's own write: on the hot path a call more is a call too many."""
        if self._transport is None:
            raise ConnectionError("expected an open connection")
        return self._transport.write

    def finish(self, last: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(last)
        self._await_close()

    def pause_reading(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    def _open(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        problem = self._server.refusal(path)
        if problem is not None:
            self._turn_away(problem, path)
            return
        response = self._parser.accept(request)
        self._parser.send_response(response)
        self._flush_parser()
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            authorization = request.headers.get("Authorization")
            self._session = self._server.open(path, self, self._pulse, authorization)
        elif self._transport is not None:
            self._transport.close()

    def _turn_away(self, problem: Problem, path: str) -> None:
        if self._transport is None:
            return
        body = msgspec.json.encode(problem.body(path))
        headers = Headers(
            {
                "Content-Type": "application/problem+json",
                "Content-Length": str(len(body)),
                "Connection": "close",
            }
        )
        if problem.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
        status = HTTPStatus(problem.code.status)
        self._parser.send_response(Response(status.value, status.phrase, headers, body))
        self._flush_parser()
        self._transport.close()

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            if self._session is not None:
                self._session.gone()
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._fragments.append(bytes(frame.data))
            if frame.fin and self._session is not None:
                message, self._fragments = b"".join(self._fragments), []
                self._session.receive(message)

    def _flush_parser(self) -> None:
        """Answers that the protocol itself owes: pongs, closes, the handshake."""
        if self._transport is None:
            return
        for data in self._parser.data_to_send():
            if data:
                self._transport.write(data)
        if self._session is not None and self._parser.state is not State.OPEN:
            self._session.gone()
            self._await_close()

    def _ping(self) -> None:
        if self._transport is not None:
            self._transport.write(ping_frame())

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _await_close(self) -> None:
        """The close frame is on its way: read on, so that the client gets it and not a reset, until
        the client closes too. One that does not is cut off.
        """
        if self._transport is None or self._deadline is not None:
            return
        self.resume_reading()
        if self._parser.close_rcvd is not None:
            self._transport.close()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._server.settings.close_grace_s, self._abort)

    def _linger(self) -> None:
        for event in self._parser.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.CLOSE and self._transport:
                self._transport.close()


def stream_protocol(server: StreamServer) -> type[asyncio.Protocol]:
    """The class that uvicorn makes one of for each upgraded connection."""
    logging.getLogger("websockets.server").setLevel(logging.WARNING)

    class Bound(StreamProtocol):
        def __init__(
            self,
            config: Config,  # noqa: ARG002  # uvicorn's calling convention
            server_state: ServerState,
            app_state: dict[str, Any],  # noqa: ARG002
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(server, server_state)

    return Bound
