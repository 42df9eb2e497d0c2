"""WebSockets over picows: frames arrive in a callback, without a task or a queue between as long
as they are few.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from teleglas_ingest.adapters.turns import Turns
from teleglas_ingest.ports import Closed, Socket

__all__ = ["PicowsDialer"]

MAX_FRAME_BYTES = 8 << 20
"""A longer frame ends the connection: the largest book snapshot that a venue pushes is 100 KB."""
MAX_MESSAGE_BYTES = 16 << 20


class _Listener(WSListener):
    def __init__(self, on_frame: Callable[[bytes], None], on_pong: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_pong = on_pong
        self._parts: list[bytes] = []
        self._bytes = 0
        self._transport: WSTransport | None = None
        self.turns = Turns(self._read, self._disconnect)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def _read(self, go_on: bool) -> None:
        transport = self._transport
        if transport is not None and not transport.is_disconnected:
            under = transport.underlying_transport
            (under.resume_reading if go_on else under.pause_reading)()

    def _disconnect(self) -> None:
        if self._transport is not None:
            self._transport.disconnect()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.TEXT and frame.fin:
            self.turns.take(self._on_frame, frame.get_payload_as_bytes())
        elif kind is WSMsgType.PONG:
            # In its place: it says that all before it has been handled.
            self.turns.take(self._on_pong)
        elif kind is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION, WSMsgType.BINARY):
            self._fragment(transport, frame)

    def _fragment(self, transport: WSTransport, frame: WSFrame) -> None:
        part = frame.get_payload_as_bytes()
        self._parts.append(part)
        self._bytes += len(part)
        if self._bytes > MAX_MESSAGE_BYTES:
            transport.send_close(WSCloseCode.MESSAGE_TOO_BIG)
            transport.disconnect()
        elif frame.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            self._bytes = 0
            self.turns.take(self._on_frame, message)


class _Socket:
    def __init__(self, transport: WSTransport, turns: Turns) -> None:
        self._transport = transport
        self._turns = turns

    def send(self, text: bytes) -> None:
        if not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, text)

    def ping(self) -> None:
        if not self._transport.is_disconnected:
            self._transport.send_ping()

    def pause(self) -> None:
        self._turns.press(True)

    def resume(self) -> None:
        self._turns.press(False)

    async def closed(self) -> Closed:
        await asyncio.shield(self._transport.wait_disconnected())
        await self._turns.over()
        received = getattr(self._transport.close_handshake, "recv", None)
        if received is None:
            return Closed(None, "the connection ended without a close frame")
        return Closed(received.code.value, received.reason or f"closed with {received.code.name}")

    def close(self) -> None:
        self._turns.drop()
        if not self._transport.is_disconnected:
            self._transport.send_close(WSCloseCode.GOING_AWAY)
            self._transport.disconnect()


class PicowsDialer:
    """`timeout_s` bounds the connect and the handshake each."""

    def __init__(self, *, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s

    async def dial(
        self, url: str, on_frame: Callable[[bytes], None], on_pong: Callable[[], None]
    ) -> Socket:
        async with asyncio.timeout(2 * self._timeout_s):
            try:
                listener = _Listener(on_frame, on_pong)
                transport, _ = await ws_connect(
                    lambda: listener,
                    url,
                    websocket_handshake_timeout=self._timeout_s,
                    max_frame_size=MAX_FRAME_BYTES,
                    enable_auto_pong=True,
                )
            except OSError:
                raise
            except Exception as error:
                raise OSError(f"expected a WebSocket at {url}, was: {error!r}") from error
        return _Socket(transport, listener.turns)
