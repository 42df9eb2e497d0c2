"""OKX v5: `/ws/v5/public`, `/ws/v5/business`, `/api/v5`. Text ping and pong, one acknowledgement
per argument.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from teleglas_sim.server.connection import ClientConnection
from teleglas_sim.server.faults import FaultBoard
from teleglas_sim.server.feed import Feed, RestAnswer
from teleglas_sim.server.limits import Limits
from teleglas_sim.server.venue import Session, VenueServer

__all__ = ["OKX_LIMITS", "OkxServer", "stream_name"]

NEVER_S = 10.0 * 365 * 86_400
OKX_LIMITS = Limits(
    streams_per_connection=100_000,
    # Pings count here too; OKX's own limit is 480 requests an hour, kept by `OkxSession`.
    speech_count=100,
    speech_per_s=1.0,
    connects=3,
    connects_per_s=1.0,
    weight_per_minute=100_000,
    connection_life_s=NEVER_S,
    ping_interval_s=NEVER_S,
    pong_timeout_s=NEVER_S,
    idle_close_s=30.0,
)
REQUESTS_PER_HOUR = 480
REQUEST_BYTES = 65_536
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_BUSINESS = ("trades-all", "candle", "mark-price-candle", "index-candle")
_KEYS = ("instId", "instFamily", "instType")
_RATE = {
    "/api/v5/public/instruments": 20,
    "/api/v5/market/books": 40,
    "/api/v5/market/books-full": 10,
    "/api/v5/market/trades": 100,
    "/api/v5/market/history-trades": 20,
    "/api/v5/public/open-interest": 20,
    "/api/v5/public/time": 10,
}


def stream_name(arg: Mapping[str, Any]) -> str:
    """`channel:instId`, or `channel:instType` where the channel has no instrument."""
    keys = [str(arg[key]) for key in _KEYS if key in arg]
    return f"{arg.get('channel')}:{keys[0]}" if keys else str(arg.get("channel"))


class OkxSession(Session):
    """One connection on one of the two paths."""

    def __init__(self, server: "OkxServer", connection_id: str, *, business: bool) -> None:
        super().__init__(server)
        self._connection_id = connection_id
        self._business = business
        self._requests: list[float] = []

    async def opened(self, connection: ClientConnection) -> None:
        """Nothing is said until the client subscribes."""

    async def said(self, connection: ClientConnection, text: bytes) -> None:
        """Answer `ping`, subscribe and unsubscribe."""
        if text == b"ping":
            connection.send_text(b"pong")
            return
        try:
            message = msgspec.json.decode(text)
        except msgspec.DecodeError:
            message = None
        problem = _problem(message, text)
        if problem is not None:
            self._refuse(connection, *problem, None)
            return
        request_id = message.get("id")
        if not self._within_hour():
            self._refuse(connection, "60014", "Requests too frequent", request_id)
            return
        for arg in message["args"]:
            if message["op"] == "subscribe":
                await self._subscribe(connection, arg, request_id)
            else:
                self._ack(connection, "unsubscribe", arg, request_id)
                await self.detach(connection, stream_name(arg))

    async def _subscribe(
        self, connection: ClientConnection, arg: dict[str, Any], request_id: str | None
    ) -> None:
        stream = stream_name(arg)
        channel = str(arg["channel"])
        right_path = channel.startswith(_BUSINESS) == self._business
        if not right_path or stream not in self.server.feed.streams():
            where = ",".join(f"{key}:{arg[key]}" for key in _KEYS if key in arg)
            text = (
                f"Wrong URL or channel:{channel},{where} doesn't exist. Please use the correct "
                "URL, channel and parameters referring to API document."
            )
            self._refuse(connection, "60018", text, request_id)
            return
        self._ack(connection, "subscribe", arg, request_id)
        await self.attach(connection, stream, served=True)

    def _ack(
        self, connection: ClientConnection, event: str, arg: dict[str, Any], request_id: str | None
    ) -> None:
        head = {} if request_id is None else {"id": request_id}
        answer = {**head, "event": event, "arg": arg, "connId": self._connection_id}
        connection.send_text(msgspec.json.encode(answer))

    def _refuse(
        self, connection: ClientConnection, code: str, message: str, request_id: str | None
    ) -> None:
        head = {} if request_id is None else {"id": request_id}
        answer = {**head, "event": "error", "code": code, "msg": message}
        connection.send_text(msgspec.json.encode({**answer, "connId": self._connection_id}))

    def _within_hour(self) -> bool:
        now_s = self.server.now_ms() / 1000
        self._requests = [at for at in self._requests if now_s - at < 3600]
        if len(self._requests) >= REQUESTS_PER_HOUR:
            return False
        self._requests.append(now_s)
        return True


class OkxServer(VenueServer):
    """Unknown channels and wrong paths are refused with 60018."""

    def __init__(
        self,
        feed: Feed,
        *,
        faults: FaultBoard,
        now_ms: Callable[[], int],
        limits: Limits = OKX_LIMITS,
    ) -> None:
        super().__init__(feed, faults=faults, limits=limits, now_ms=now_ms)
        self._opened = 0
        self._calls: dict[str, tuple[int, int]] = {}

    def session(self, path: str, _query: str, /) -> Session | None:
        """`/ws/v5/public` and `/ws/v5/business`."""
        if path not in {"/ws/v5/public", "/ws/v5/business"}:
            return None
        self._opened += 1
        return OkxSession(self, f"{self._opened:08x}", business=path.endswith("business"))

    async def answer(self, path: str, query: Mapping[str, str]) -> RestAnswer:
        """Apply the endpoint's limit per two seconds, then ask the feed."""
        window = self.now_ms() // 2000
        known, used = self._calls.get(path, (window, 0))
        used = used + 1 if known == window else 1
        if path in _RATE:
            self._calls[path] = (window, used)
            if used > _RATE[path]:
                return RestAnswer(self.rest_fault_body(429), 429)
        return await self.feed.rest(path, query)

    def rest_fault_body(self, status: int) -> bytes:
        """`50011` for limits, `50001` for the rest."""
        if status == 429:
            return msgspec.json.encode({"code": "50011", "msg": "Too Many Requests", "data": []})
        text = "Service temporarily unavailable. Please try again later."
        return msgspec.json.encode({"code": "50001", "msg": text, "data": []})

    def announce_upgrade(self) -> None:
        """Send notice 64008: the connection closes about 60 s later."""
        text = "The connection will soon be closed for a service upgrade. Please reconnect."
        self.announce(msgspec.json.encode({"event": "notice", "code": "64008", "msg": text}))


def _problem(message: Any, text: bytes) -> tuple[str, str] | None:
    if len(text) > REQUEST_BYTES:
        return "60012", f"Invalid request: expected at most {REQUEST_BYTES} bytes, got {len(text)}"
    if not isinstance(message, dict) or message.get("op") not in {"subscribe", "unsubscribe"}:
        shown = text[:200].decode("utf-8", "replace")
        return "60012", f"Invalid request: {shown}"
    request_id = message.get("id")
    if request_id is not None and not (isinstance(request_id, str) and _ID.fullmatch(request_id)):
        return "60012", "Invalid request: id must be alphanumeric, at most 32 characters"
    args = message.get("args")
    if not isinstance(args, list) or not args:
        return "60013", "Invalid args"
    if not all(isinstance(arg, dict) and isinstance(arg.get("channel"), str) for arg in args):
        return "60013", "Invalid args"
    return None
