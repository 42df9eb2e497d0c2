"""Peers of the fan-out benchmark: picows and Starlette send a finished message to each client.

Runs in the peers' environment: it knows nothing of Teleglas. `burst N` on standard input sends the
message N times to everyone.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

import uvloop


class PicowsServer:
    """A loop of `send` over all transports, as picows' own examples do it."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._transports: set[object] = set()

    async def start(self) -> int:
        import picows

        owner = self

        class Listener(picows.WSListener):
            def on_ws_connected(self, transport: object) -> None:
                owner._transports.add(transport)

            def on_ws_disconnected(self, transport: object) -> None:
                owner._transports.discard(transport)

        server = await picows.ws_create_server(lambda _request: Listener(), "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def burst(self, count: int) -> None:
        from picows import WSMsgType

        for _ in range(count):
            for transport in self._transports:
                transport.send(WSMsgType.TEXT, self._message)  # type: ignore[attr-defined]
            await asyncio.sleep(0)


class StarletteServer:
    """`send_text` to every socket in turn, as its documentation shows a broadcast."""

    def __init__(self, message: bytes) -> None:
        self._message = message.decode()
        self._sockets: set[object] = set()

    async def start(self) -> int:
        import uvicorn
        from starlette.applications import Starlette
        from starlette.routing import WebSocketRoute
        from starlette.websockets import WebSocket, WebSocketDisconnect

        async def endpoint(socket: WebSocket) -> None:
            await socket.accept()
            self._sockets.add(socket)
            try:
                while True:
                    await socket.receive_text()
            except WebSocketDisconnect:
                self._sockets.discard(socket)

        app = Starlette(routes=[WebSocketRoute("/v1/stream", endpoint)])
        config = uvicorn.Config(
            app, port=0, log_level="error", ws_per_message_deflate=False, ws_ping_interval=None
        )
        server = uvicorn.Server(config)
        self._task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        return int(server.servers[0].sockets[0].getsockname()[1])

    async def burst(self, count: int) -> None:
        for _ in range(count):
            for socket in list(self._sockets):
                await socket.send_text(self._message)  # type: ignore[attr-defined]
            await asyncio.sleep(0)


KINDS: dict[str, Callable[[bytes], PicowsServer | StarletteServer]] = {
    "picows": PicowsServer,
    "starlette": StarletteServer,
}


async def serve(kind: str, message: bytes) -> None:
    server = KINDS[kind](message)
    port = await server.start()
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print(port, flush=True)
    while line := await commands.readline():
        name, *numbers = line.decode().split()
        if name == "burst":
            await server.burst(int(numbers[0]))
        elif name == "cpu":
            print(time.process_time(), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], sys.argv[2].encode()))
