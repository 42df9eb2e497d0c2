"""Bounded memories: recent trades by id, and the rolling 24 hours."""

from collections import deque
from dataclasses import dataclass
from struct import Struct

__all__ = ["DayStats", "TradeHistory", "TradeRow"]

_ROW = Struct("<qqqqqB")


@dataclass(frozen=True, slots=True)
class TradeRow:
    """`market` is False for insurance-fund prints and spent ids; `seller` is the taker's side."""

    id: int
    price: int
    size: int
    ts_ms: int
    aggregate: int
    seller: bool
    market: bool
    spent: bool


class TradeHistory:
    """The last `capacity` ids of one instrument in a flat ring; ids come without holes."""

    def __init__(self, first_id: int, capacity: int) -> None:
        self._capacity = capacity
        self._ring = bytearray(_ROW.size * capacity)
        self.first_ever = first_id
        self.next_id = first_id

    @property
    def oldest_id(self) -> int:
        """The lowest id that is still held."""
        return max(self.first_ever, self.next_id - self._capacity)

    def append(self, price: int, size: int, ts_ms: int, aggregate: int, flags: int) -> int:
        """Store a trade under the next id; `flags`: 1 seller, 2 not a market trade, 4 spent."""
        trade_id = self.next_id
        at = trade_id % self._capacity * _ROW.size
        _ROW.pack_into(self._ring, at, trade_id, price, size, ts_ms, aggregate, flags)
        self.next_id = trade_id + 1
        return trade_id

    def row(self, trade_id: int) -> TradeRow:
        """One trade that is held."""
        if not self.oldest_id <= trade_id < self.next_id:
            held = f"{self.oldest_id} to {self.next_id - 1}"
            raise KeyError(f"expected an id from {held}, got {trade_id}")
        at = trade_id % self._capacity * _ROW.size
        row_id, price, size, ts_ms, aggregate, flags = _ROW.unpack_from(self._ring, at)
        return TradeRow(
            row_id, price, size, ts_ms, aggregate, bool(flags & 1), not flags & 2, bool(flags & 4)
        )

    def rows(self, first: int, count: int) -> list[TradeRow]:
        """Up to `count` held trades from id `first` on, oldest first."""
        start = max(first, self.oldest_id)
        return [self.row(trade_id) for trade_id in range(start, min(start + count, self.next_id))]


@dataclass(slots=True)
class _Minute:
    minute: int
    open: int
    high: int
    low: int
    size: int = 0
    turnover: int = 0
    count: int = 0
    first_id: int = 0


class DayStats:
    """Open, high, low, last and volume of the last 24 hours, in steps of a minute."""

    def __init__(self) -> None:
        self._minutes: deque[_Minute] = deque(maxlen=1440)
        self.last = 0
        self.last_size = 0
        self.last_id = 0
        self.last_ms = 0

    def add(self, trade_id: int, price: int, size: int, ts_ms: int) -> None:
        """Count one market trade."""
        minute = ts_ms // 60_000
        if not self._minutes or self._minutes[-1].minute != minute:
            self._minutes.append(_Minute(minute, price, price, price, first_id=trade_id))
            while self._minutes[0].minute <= minute - 1440:
                self._minutes.popleft()
        now = self._minutes[-1]
        now.high = max(now.high, price)
        now.low = min(now.low, price)
        now.size += size
        now.turnover += size * price
        now.count += 1
        self.last, self.last_size, self.last_id, self.last_ms = price, size, trade_id, ts_ms

    def summary(self) -> "DaySummary | None":
        """The window's figures, or None before the first trade."""
        minutes = self._minutes
        if not minutes:
            return None
        return DaySummary(
            open=minutes[0].open,
            high=max(m.high for m in minutes),
            low=min(m.low for m in minutes),
            size=sum(m.size for m in minutes),
            turnover=sum(m.turnover for m in minutes),
            count=sum(m.count for m in minutes),
            first_id=minutes[0].first_id,
            open_ms=minutes[0].minute * 60_000,
        )


@dataclass(frozen=True, slots=True)
class DaySummary:
    """In the instrument's integers; `turnover` is the sum of price times size."""

    open: int
    high: int
    low: int
    size: int
    turnover: int
    count: int
    first_id: int
    open_ms: int
