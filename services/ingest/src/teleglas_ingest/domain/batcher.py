"""Trades of one instrument gathered for at most 20 ms or 512 of them: it is records that cost."""

from __future__ import annotations

from teleglas_ingest.domain.events import Trade

__all__ = ["MAX_AGE_NS", "MAX_TRADES", "TradeBatcher"]

MAX_TRADES = 512
MAX_AGE_NS = 20_000_000


class TradeBatcher:
    """Gathers; the caller publishes what `add` and `due` return. Order is the order of `add`."""

    def __init__(self, *, max_trades: int = MAX_TRADES, max_age_ns: int = MAX_AGE_NS) -> None:
        self._max_trades = max_trades
        self._max_age_ns = max_age_ns
        self._trades: list[Trade] = []
        self._opened_ns = 0

    def add(self, trade: Trade, now_ns: int) -> list[Trade] | None:
        """Take a trade; return a batch when it is full. `now_ns` is a monotonic clock."""
        if not self._trades:
            self._opened_ns = now_ns
        self._trades.append(trade)
        return self.take() if len(self._trades) >= self._max_trades else None

    def due(self, now_ns: int) -> list[Trade] | None:
        """Return what waits when its first trade is old enough."""
        if self._trades and now_ns - self._opened_ns >= self._max_age_ns:
            return self.take()
        return None

    @property
    def due_ns(self) -> int | None:
        """When what waits has to go; None where nothing does."""
        return self._opened_ns + self._max_age_ns if self._trades else None

    def take(self) -> list[Trade] | None:
        """Return what waits, whatever its age; None where nothing does."""
        trades, self._trades = self._trades, []
        return trades or None
