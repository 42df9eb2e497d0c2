"""What spot and USD-M share: paths, control messages and weights of Binance."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from picows import WSCloseCode

from teleglas_sim.server.connection import ClientConnection
from teleglas_sim.server.faults import FaultBoard
from teleglas_sim.server.feed import Feed, RestAnswer
from teleglas_sim.server.limits import Limits, WeightWindow
from teleglas_sim.server.venue import Session, VenueServer

__all__ = ["BinanceServer", "BinanceSession"]

Weight = Callable[[str, Mapping[str, str]], int]


class BinanceSession(Session):
    """SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS and the `combined` property on one connection."""

    def __init__(
        self,
        server: "BinanceServer",
        initial: list[str],
        routed: Callable[[str], bool],
        *,
        combined: bool,
    ) -> None:
        super().__init__(server)
        self.combined = combined
        self._initial = initial
        self._routed = routed

    async def opened(self, connection: ClientConnection) -> None:
        """Serve the streams named in the URL."""
        await self._subscribe(connection, self._initial)

    async def said(self, connection: ClientConnection, text: bytes) -> None:
        """Answer one control message."""
        try:
            message = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            _refuse(connection, 3, f"Invalid JSON: {error}", None)
            return
        if not isinstance(message, dict) or "method" not in message:
            _refuse(connection, 2, "Invalid request: method must be a string", None)
            return
        request_id = message.get("id")
        if not _is_id(request_id):
            wanted = "request ID must be an unsigned integer, string of at most 36 or null"
            _refuse(connection, 2, f"Invalid request: {wanted}", None)
            return
        await self._obey(connection, message["method"], message.get("params"), request_id)

    async def _obey(
        self, connection: ClientConnection, method: Any, params: Any, request_id: Any
    ) -> None:
        match method:
            case "SUBSCRIBE" | "UNSUBSCRIBE":
                problem = _stream_list_problem(params)
                if problem is not None:
                    _refuse(connection, 2, f"Invalid request: {problem}", request_id)
                    return
                # The acknowledgement goes first: it is queued before any data of these streams.
                _answer(connection, None, request_id)
                if method == "SUBSCRIBE":
                    await self._subscribe(connection, params)
                    return
                for stream in params:
                    await self.detach(connection, stream)
            case "LIST_SUBSCRIPTIONS":
                _answer(connection, list(self.streams), request_id)
            case "SET_PROPERTY" if isinstance(params, list) and params[:1] == ["combined"]:
                self.combined = params[1:] == [True]
                _answer(connection, None, request_id)
            case "GET_PROPERTY" if params == ["combined"]:
                _answer(connection, self.combined, request_id)
            case _:
                text = "unknown variant, expected one of SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS"
                _refuse(connection, 2, f"Invalid request: {text}", request_id)

    async def _subscribe(self, connection: ClientConnection, streams: list[str]) -> None:
        if len(self.streams.keys() | set(streams)) > self.server.limits.streams_per_connection:
            connection.close(WSCloseCode.POLICY_VIOLATION, b"Too many streams")
            return
        known = self.server.feed.streams()
        for stream in streams:
            await self.attach(connection, stream, served=stream in known and self._routed(stream))


class BinanceServer(VenueServer):
    """Base of the two Binance servers."""

    def __init__(
        self,
        feed: Feed,
        *,
        faults: FaultBoard,
        limits: Limits,
        now_ms: Callable[[], int],
        weight: Weight,
    ) -> None:
        super().__init__(feed, faults=faults, limits=limits, now_ms=now_ms)
        self._weight = weight
        self._window = WeightWindow(limits.weight_per_minute)

    def _open(self, path: str, query: str, routed: Callable[[str], bool]) -> BinanceSession | None:
        """A session for `/ws`, `/ws/<a>/<b>` or `/stream?streams=<a>/<b>`."""
        head, _, rest = path.lstrip("/").partition("/")
        if head == "ws":
            return BinanceSession(self, _names(rest), routed, combined=False)
        if head == "stream" and not rest:
            streams = _names(dict(parse_qsl(query)).get("streams", ""))
            return BinanceSession(self, streams, routed, combined=True)
        return None

    async def answer(self, path: str, query: Mapping[str, str]) -> RestAnswer:
        """Count the weight, refuse with 429 above the limit, else ask the feed."""
        now_s = self.now_ms() / 1000
        allowed = self._window.spend(self._weight(path, query), now_s)
        used = {"X-MBX-USED-WEIGHT-1M": str(self._window.used)}
        if not allowed:
            headers = {**used, "Retry-After": str(60 - int(now_s % 60))}
            return RestAnswer(self.rest_fault_body(429), 429, headers)
        answer = await self.feed.rest(path, query)
        return RestAnswer(answer.body, answer.status, {**answer.headers, **used})

    def rest_fault_body(self, status: int) -> bytes:
        """`-1003` for limits, `-1000` for the rest."""
        if status in {418, 429}:
            limit = f"{self._window.limit} request weight per 1 MINUTE"
            message = f"Too much request weight used; current limit is {limit}."
            return msgspec.json.encode({"code": -1003, "msg": message})
        unknown = "An unknown error occurred while processing the request."
        return msgspec.json.encode({"code": -1000, "msg": unknown})


def _names(joined: str) -> list[str]:
    return [name for name in unquote(joined).split("/") if name]


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 36
    if isinstance(value, bool):
        return False
    return value is None or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _stream_list_problem(params: Any) -> str | None:
    if not isinstance(params, list) or not params:
        return "params must be a non-empty array of stream names"
    if not all(isinstance(name, str) and name for name in params):
        return "stream names must be strings"
    return None


def _answer(connection: ClientConnection, result: Any, request_id: Any) -> None:
    connection.send_text(msgspec.json.encode({"result": result, "id": request_id}))


def _refuse(connection: ClientConnection, code: int, message: str, request_id: Any) -> None:
    connection.send_text(msgspec.json.encode({"code": code, "msg": message, "id": request_id}))
