"""Binance spot: `/ws`, `/stream`, `/api/v3`."""

from collections.abc import Callable, Mapping

import msgspec

from teleglas_sim.server.binance_protocol import BinanceServer
from teleglas_sim.server.faults import FaultBoard
from teleglas_sim.server.feed import Feed
from teleglas_sim.server.limits import Limits
from teleglas_sim.server.venue import Session

__all__ = ["SPOT_LIMITS", "BinanceSpotServer"]

SPOT_LIMITS = Limits(
    streams_per_connection=1024,
    speech_count=5,
    speech_per_s=1.0,
    connects=300,
    connects_per_s=300.0,
    weight_per_minute=6000,
    connection_life_s=86_400.0,
    ping_interval_s=20.0,
    pong_timeout_s=60.0,
    idle_close_s=86_400.0,
)
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
_WEIGHTS = {
    "/api/v3/exchangeInfo": 20,
    "/api/v3/trades": 25,
    "/api/v3/historicalTrades": 25,
    "/api/v3/aggTrades": 4,
}


class BinanceSpotServer(BinanceServer):
    """Every stream is served on every path; unknown names are acknowledged and stay silent."""

    def __init__(
        self,
        feed: Feed,
        *,
        faults: FaultBoard,
        now_ms: Callable[[], int],
        limits: Limits = SPOT_LIMITS,
    ) -> None:
        super().__init__(feed, faults=faults, limits=limits, now_ms=now_ms, weight=_weight)

    def session(self, path: str, query: str, /) -> Session | None:
        """Raw on `/ws`, combined on `/stream`."""
        return self._open(path, query, lambda _stream: True)

    def announce_shutdown(self) -> None:
        """Tell every client to open a new connection at once."""
        data = msgspec.json.encode({"e": "serverShutdown", "E": self.now_ms()})
        for connection in self.connections:
            if connection.protocol.combined:
                connection.send_text(b'{"stream":"!serverShutdown","data":%b}' % data)
            else:
                connection.send_text(data)


def _weight(path: str, query: Mapping[str, str]) -> int:
    if path == "/api/v3/depth":
        limit = query.get("limit", "100")
        levels = int(limit) if limit.isdigit() else 100
        return next((weight for most, weight in _DEPTH_WEIGHTS if levels <= most), 250)
    return _WEIGHTS.get(path, 1)
