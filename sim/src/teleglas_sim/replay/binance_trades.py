"""Recorded trades before a position, and the shape in which Binance's REST lists them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from teleglas_sim.replay.timeline import Timeline, TradeIndex

__all__ = ["Tape", "aggregate", "fill"]


class Tape:
    """The events of one trade stream before a position, read one by one as they are asked for."""

    def __init__(self, timeline: Timeline, stream_id: int | None, position: int) -> None:
        self._timeline = timeline
        self._index = TradeIndex() if stream_id is None else timeline.trades[stream_id]
        self._stop = self._index.released(position)

    def since(self, trade_id: int) -> Iterator[dict[str, Any]]:
        """From an id on, that one included."""
        start = bisect_left(self._index.ids, trade_id, 0, self._stop)
        return map(self._event, range(start, self._stop))

    def since_ms(self, time_ms: int) -> Iterator[dict[str, Any]]:
        """From a trade time on."""
        rows = range(self._stop)
        start = bisect_left(rows, time_ms, key=lambda row: self._event(row)["T"])
        return map(self._event, range(start, self._stop))

    def newest_first(self) -> Iterator[dict[str, Any]]:
        return map(self._event, range(self._stop - 1, -1, -1))

    def _event(self, row: int) -> dict[str, Any]:
        frame = self._timeline.frame(self._index.positions[row])
        event: dict[str, Any] = msgspec.json.decode(frame)["data"]
        return event


def fill(event: dict[str, Any], *, is_usdm: bool) -> dict[str, Any] | None:
    """One element of `trades`, or None for what USD-M does not list: spent ids, insurance, ADL."""
    if is_usdm and event.get("X", "MARKET") != "MARKET":
        return None
    entry = {
        "id": event["t"],
        "price": event["p"],
        "qty": event["q"],
        "quoteQty": f"{Decimal(event['p']) * Decimal(event['q']):.8f}",
        "time": event["T"],
        "isBuyerMaker": event["m"],
    }
    return entry | ({"isRPITrade": False} if is_usdm else {"isBestMatch": event.get("M", True)})


def aggregate(event: dict[str, Any]) -> dict[str, Any]:
    """One element of `aggTrades`: the event without its type, time and symbol."""
    return {key: event[key] for key in ("a", "p", "q", "f", "l", "T", "m", "M") if key in event}
