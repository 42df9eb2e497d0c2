"""A venue's server: WebSocket and REST on free loopback ports, pings, planned disconnects, the
control endpoint.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import msgspec
from aiohttp import web
from picows import (
    WSCloseCode,
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from teleglas_sim.server.connection import ClientConnection, ConnectionHandler, SpeechLimit
from teleglas_sim.server.faults import Fault, FaultBoard, FaultKind
from teleglas_sim.server.feed import Feed, RestAnswer
from teleglas_sim.server.limits import Limits

__all__ = ["Session", "VenueServer"]


LOOPBACK = "127.0.0.1"
_Accepted = WSListener | WSUpgradeResponseWithListener | None


class Session(ConnectionHandler, ABC):
    """A connection's subscriptions; the venues' protocols derive from it."""

    combined = False

    def __init__(self, server: "VenueServer") -> None:
        self.server = server
        self.streams: dict[str, bool] = {}

    async def attach(self, connection: ClientConnection, stream: str, *, served: bool) -> None:
        """Note a subscription and, when `served`, start its data."""
        if stream in self.streams:
            return
        served = served and not self.server.faults.silences(stream)
        self.streams[stream] = served
        if served:
            await self.server.feed.subscribe(stream, connection)

    async def detach(self, connection: ClientConnection, stream: str) -> None:
        """Undo a subscription; unknown ones are no error."""
        if self.streams.pop(stream, False):
            await self.server.feed.unsubscribe(stream, connection)

    async def left(self, connection: ClientConnection) -> None:
        """Undo every subscription of a client that is gone."""
        for stream in tuple(self.streams):
            await self.detach(connection, stream)


class VenueServer(ABC):
    """Base of the venues' servers. `now_ms` is the venue's clock.

    `controls` are further `POST /control/<name>`: they get the body, give what is answered as JSON,
    and refuse with ValueError.
    """

    def __init__(
        self, feed: Feed, *, faults: FaultBoard, limits: Limits, now_ms: Callable[[], int]
    ) -> None:
        self.feed = feed
        self.faults = faults
        self.limits = limits
        self.now_ms = now_ms
        self.controls: dict[str, Callable[[bytes], object]] = {}
        self.connections: dict[ClientConnection, float] = {}
        self.slow_clients_dropped = 0
        self._connects = SpeechLimit(limits.connects, limits.connects_per_s)
        self._leaving: set[asyncio.Task[None]] = set()
        self._ws: asyncio.Server | None = None
        self._rest: web.AppRunner | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._host = LOOPBACK
        self._ws_port = 0
        self._rest_port = 0

    @property
    def ws_url(self) -> str:
        """Base URL of the streams, without a path."""
        return f"ws://{self._host}:{self._ws_port}"

    @property
    def rest_url(self) -> str:
        """Base URL of REST, without a path; the control endpoint is `/control/fault` on it."""
        return f"http://{self._host}:{self._rest_port}"

    @abstractmethod
    def session(self, path: str, query: str, /) -> Session | None:
        """The protocol of a handshake on this path, or None for 404."""

    @abstractmethod
    async def answer(self, path: str, query: Mapping[str, str]) -> RestAnswer:
        """A REST call, limits applied."""

    @abstractmethod
    def rest_fault_body(self, status: int) -> bytes:
        """The venue's error body for a planted REST failure."""

    async def start(self, ws_port: int = 0, rest_port: int = 0, *, host: str = LOOPBACK) -> None:
        """Listen; port 0 takes a free one. The URLs name `host`."""
        self._host = host
        self._ws = await ws_create_server(
            self._accept,
            host,
            ws_port,
            max_frame_size=self.limits.max_message_bytes,
            logger_name="teleglas-sim",
        )
        self._ws_port = self._ws.sockets[0].getsockname()[1]
        app = web.Application()
        app.router.add_post("/control/fault", self._plant)
        app.router.add_delete("/control/fault", self._lift)
        app.router.add_post("/control/{name}", self._control)
        app.router.add_get("/{path:.*}", self._get)
        self._rest = web.AppRunner(app, access_log=None)
        await self._rest.setup()
        site = web.TCPSite(self._rest, host, rest_port)
        await site.start()
        self._rest_port = self._rest.addresses[0][1]
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Hang up on everybody and free the ports."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self._ws is not None:
            self._ws.close()
        for connection in tuple(self.connections):
            connection.close(WSCloseCode.GOING_AWAY)
        if self._rest is not None:
            await self._rest.cleanup()
        await asyncio.sleep(0)
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.gather(*self._leaving)

    def inject(self, fault: Fault) -> int:
        """Put a fault in force; returns how many connections a `disconnect` closed."""
        if fault.kind is not FaultKind.DISCONNECT:
            self.faults.add(fault)
            return 0
        victims = [
            connection
            for connection in self.connections
            if any(fnmatchcase(name, fault.match) for name in _streams_of(connection))
        ][: fault.count]
        self.faults.hits[FaultKind.DISCONNECT] += len(victims)
        for connection in victims:
            connection.abort()
        return len(victims)

    def announce(self, payload: bytes) -> None:
        """Send a control message to every client."""
        for connection in self.connections:
            connection.send_text(payload)

    def _accept(
        self, request: WSUpgradeRequest
    ) -> WSListener | WSUpgradeResponseWithListener | None:
        now_s = asyncio.get_running_loop().time()
        if not self._connects.allows(now_s):
            refusal = WSUpgradeResponse.create_error_response(429, b"Too many connections")
            return WSUpgradeResponseWithListener(refusal, None)
        path, _, query = request.path.decode("ascii", "replace").partition("?")
        session = self.session(path, query)
        if session is None:
            return None
        connection = ClientConnection(
            session,
            speech=SpeechLimit(self.limits.speech_count, self.limits.speech_per_s),
            max_pending_bytes=self.limits.max_pending_bytes,
            on_closed=self._closed,
        )
        self.connections[connection] = now_s
        return connection

    def _closed(self, connection: ClientConnection) -> None:
        self.connections.pop(connection, None)
        self.slow_clients_dropped += connection.dropped_slow
        task = asyncio.get_running_loop().create_task(connection.protocol.left(connection))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        step_s = min(1.0, self.limits.ping_interval_s / 4, self.limits.idle_close_s / 4)
        step_s = min(step_s, self.limits.connection_life_s / 4)
        next_ping_s = loop.time() + self.limits.ping_interval_s
        while True:
            await asyncio.sleep(step_s)
            now_s = loop.time()
            ping = now_s >= next_ping_s
            if ping:
                next_ping_s = now_s + self.limits.ping_interval_s
            for connection, since_s in tuple(self.connections.items()):
                self._look_after(connection, since_s, now_s, ping=ping)

    def _look_after(
        self, connection: ClientConnection, since_s: float, now_s: float, *, ping: bool
    ) -> None:
        limits = self.limits
        if connection.pong_due_s is not None and now_s > connection.pong_due_s:
            connection.close(WSCloseCode.POLICY_VIOLATION, b"Pong timeout")
        elif now_s - since_s > limits.connection_life_s:
            connection.close(WSCloseCode.GOING_AWAY, b"Connection life is over")
        elif connection.last_traffic_s and now_s - connection.last_traffic_s > limits.idle_close_s:
            connection.close(WSCloseCode.OK, b"Idle")
        elif ping:
            connection.ping(str(self.now_ms()).encode(), now_s + limits.pong_timeout_s)

    async def _get(self, request: web.Request) -> web.Response:
        fault = self.faults.rest_fault(request.path)
        if fault is not None:
            headers = (
                {"Retry-After": str(fault.retry_after_s)} if fault.status in {418, 429} else {}
            )
            body = self.rest_fault_body(fault.status)
            return _json(RestAnswer(body, fault.status, headers))
        return _json(await self.answer(request.path, request.query))

    async def _plant(self, request: web.Request) -> web.Response:
        try:
            fault = msgspec.json.decode(await request.read(), type=Fault)
        except (msgspec.DecodeError, ValueError) as error:
            return _json(RestAnswer(msgspec.json.encode({"error": str(error)}), 400))
        closed = self.inject(fault)
        return _json(RestAnswer(msgspec.json.encode({"accepted": True, "closed": closed})))

    async def _control(self, request: web.Request) -> web.Response:
        handler = self.controls.get(request.match_info["name"])
        if handler is None:
            raise web.HTTPNotFound
        try:
            result = handler(await request.read())
        except (msgspec.DecodeError, ValueError) as error:
            return _json(RestAnswer(msgspec.json.encode({"error": str(error)}), 400))
        return _json(RestAnswer(msgspec.json.encode(result)))

    async def _lift(self, _request: web.Request) -> web.Response:
        self.faults.clear()
        return _json(RestAnswer(msgspec.json.encode({"hits": self.faults.hits})))


def _streams_of(connection: ClientConnection) -> list[str]:
    session = connection.protocol
    return list(session.streams) or [""] if isinstance(session, Session) else [""]


def _json(answer: RestAnswer) -> web.Response:
    return web.Response(
        body=answer.body,
        status=answer.status,
        headers=answer.headers,
        content_type="application/json",
    )
