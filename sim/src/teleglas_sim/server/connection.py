"""One client's WebSocket: bounded writes, ordered handling of what it says, limits on how often it
may speak.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from teleglas_sim.server.feed import Frame, wire_text

__all__ = ["ClientConnection", "ConnectionHandler", "SpeechLimit"]

INBOX_LIMIT = 256


class SpeechLimit:
    """At most `count` messages in any window of `per_s` seconds."""

    def __init__(self, count: int, per_s: float) -> None:
        self._times: deque[float] = deque(maxlen=count)
        self._count = count
        self._per_s = per_s

    def allows(self, now_s: float) -> bool:
        """Count a message at `now_s`; False when it is one too many."""
        times = self._times
        if len(times) == self._count and now_s - times[0] < self._per_s:
            return False
        times.append(now_s)
        return True


class ConnectionHandler(Protocol):
    """What a venue does with a connection."""

    combined: bool

    async def opened(self, connection: "ClientConnection") -> None:
        """The handshake is done."""
        ...

    async def said(self, connection: "ClientConnection", text: bytes) -> None:
        """A text message came in; calls of one connection never overlap."""
        ...

    async def left(self, connection: "ClientConnection") -> None:
        """The client is gone."""
        ...


class ClientConnection(WSListener):
    """A `FrameSink`. Frames sent within one turn of the event loop leave in one write."""

    def __init__(
        self,
        protocol: ConnectionHandler,
        *,
        speech: SpeechLimit,
        max_pending_bytes: int,
        on_closed: Callable[["ClientConnection"], None],
    ) -> None:
        super().__init__()
        self.protocol = protocol
        self.dropped_slow = False
        self.closed = False
        self.last_traffic_s = 0.0
        self.pong_due_s: float | None = None
        self._speech = speech
        self._max_pending = max_pending_bytes
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._flush_scheduled = False
        self._writable = asyncio.Event()
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue(INBOX_LIMIT)
        self._worker: asyncio.Task[None] | None = None
        self._transport: WSTransport | None = None
        self._partial = b""

    def send(self, frame: Frame) -> None:
        """Queue a data frame in the connection's wire form."""
        self._write(frame.combined() if self.protocol.combined else frame.raw())

    def send_text(self, payload: bytes) -> None:
        """Queue a control answer."""
        self._write(wire_text(payload))

    async def drain(self) -> None:
        """Wait until the socket takes more; returns at once for a closed one."""
        await asyncio.sleep(0)
        if not self.closed:
            await self._writable.wait()

    def ping(self, payload: bytes, pong_due_s: float) -> None:
        """Send a WebSocket ping; the server closes the connection when no pong came by
        `pong_due_s`.
        """
        if self._transport is not None and not self.closed:
            self._flush()
            self._transport.send_ping(payload)
            if self.pong_due_s is None:
                self.pong_due_s = pong_due_s

    def close(self, code: WSCloseCode = WSCloseCode.OK, reason: bytes = b"") -> None:
        """Send what is pending and a close frame, then hang up."""
        if self._transport is not None and not self.closed:
            self._flush()
            self._transport.send_close(code, reason)
            self._transport.disconnect(graceful=True)

    def abort(self) -> None:
        """Hang up without a word, as a broken network does."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=self._max_pending // 2)
        self._writable.set()
        self.last_traffic_s = self._loop.time()
        self._worker = self._loop.create_task(self._serve())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.last_traffic_s = self._loop.time()
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        if frame.msg_type == WSMsgType.PONG:
            self.pong_due_s = None
        if not self._speech.allows(self.last_traffic_s):
            self.close(WSCloseCode.POLICY_VIOLATION, b"Too many requests")
            return
        if frame.msg_type in {WSMsgType.TEXT, WSMsgType.CONTINUATION, WSMsgType.BINARY}:
            self._partial += frame.get_payload_as_bytes()
            if frame.fin:
                text, self._partial = self._partial, b""
                self._receive(text)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self.closed = True
        self._writable.set()
        self._pending.clear()
        if self._worker is not None:
            self._worker.cancel()
        self._on_closed(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _receive(self, text: bytes) -> None:
        try:
            self._inbox.put_nowait(text)
        except asyncio.QueueFull:
            self.close(WSCloseCode.POLICY_VIOLATION, b"Too many requests")

    async def _serve(self) -> None:
        await self.protocol.opened(self)
        while True:
            await self.protocol.said(self, await self._inbox.get())

    def _write(self, wire: bytes) -> None:
        if self.closed:
            return
        self._pending.append(wire)
        self._pending_bytes += len(wire)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self.closed or not self._pending or self._transport is None:
            return
        out = self._transport.underlying_transport
        if out.get_write_buffer_size() + self._pending_bytes > self._max_pending:
            self.dropped_slow = True
            self.abort()
            return
        data = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self.last_traffic_s = self._loop.time()
        out.write(data)
