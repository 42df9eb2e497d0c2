"""Binance USD-M futures: `/public` and `/market`, `/fapi/v1`."""

from collections.abc import Callable, Mapping

from teleglas_sim.server.binance_protocol import BinanceServer
from teleglas_sim.server.faults import FaultBoard
from teleglas_sim.server.feed import Feed
from teleglas_sim.server.limits import Limits
from teleglas_sim.server.venue import Session

__all__ = ["USDM_LIMITS", "BinanceUsdmServer", "is_public_stream"]

USDM_LIMITS = Limits(
    streams_per_connection=1024,
    speech_count=10,
    speech_per_s=1.0,
    connects=300,
    connects_per_s=300.0,
    weight_per_minute=2400,
    connection_life_s=86_400.0,
    ping_interval_s=180.0,
    pong_timeout_s=600.0,
    idle_close_s=86_400.0,
)
_PUBLIC = ("trade", "depth", "rpiDepth", "bookTicker")
_DEPTH_WEIGHTS = ((50, 2), (100, 5), (500, 10), (1000, 20))
_WEIGHTS = {
    "/fapi/v1/trades": 5,
    "/fapi/v1/historicalTrades": 20,
    "/fapi/v1/aggTrades": 20,
}


def is_public_stream(stream: str) -> bool:
    """True for what the matching engine pushes (`/public`), False for what is computed
    (`/market`).
    """
    kind = stream.partition("@")[2] or stream.lstrip("!")
    return kind.partition("@")[0].rstrip("0123456789") in _PUBLIC


class BinanceUsdmServer(BinanceServer):
    """A stream on the wrong path is acknowledged and stays silent, like an unknown one."""

    def __init__(
        self,
        feed: Feed,
        *,
        faults: FaultBoard,
        now_ms: Callable[[], int],
        limits: Limits = USDM_LIMITS,
    ) -> None:
        super().__init__(feed, faults=faults, limits=limits, now_ms=now_ms, weight=_weight)

    def session(self, path: str, query: str, /) -> Session | None:
        """`/public/…`, `/market/…`; the unrouted `/ws` and `/stream` behave like `/public`."""
        head, _, rest = path.lstrip("/").partition("/")
        if head == "market":
            return self._open(f"/{rest}", query, lambda stream: not is_public_stream(stream))
        if head == "public":
            return self._open(f"/{rest}", query, is_public_stream)
        return self._open(path, query, is_public_stream)


def _weight(path: str, query: Mapping[str, str]) -> int:
    if path == "/fapi/v1/depth":
        limit = query.get("limit", "500")
        levels = int(limit) if limit.isdigit() else 500
        return next((weight for most, weight in _DEPTH_WEIGHTS if levels <= most), 20)
    return _WEIGHTS.get(path, 1)
