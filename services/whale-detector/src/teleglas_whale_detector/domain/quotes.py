"""Best prices and visible depth over time, and what they say of a parent order's impact."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from teleglas_whale_detector.domain.parents import BUY, SECOND_NS

__all__ = ["DEPTH_REACH", "GRACE_NS", "HORIZONS_NS", "Quotes", "reach_of"]

HORIZONS_NS = (0, SECOND_NS, 5 * SECOND_NS, 30 * SECOND_NS)
GRACE_NS = 150_000_000
"""Books come in steps of 100 ms: the first one at or after a moment shows what it did."""
DEPTH_REACH = 0.005
"""Depth counts up to this share of the price from the touch."""
_MOST = 20_000


@dataclass(slots=True)
class Quotes:
    """Times, best prices and depths in step; forgotten once no open parent needs them."""

    times: list[int] = field(default_factory=list)
    tops: list[tuple[float, float]] = field(default_factory=list)
    depth_times: list[int] = field(default_factory=list)
    depths: list[tuple[float, float]] = field(default_factory=list)

    def note(self, ts: int, bid: float, ask: float) -> None:
        """The best prices from `ts` on; what is out of order counts from the newest time on."""
        if self.times and ts <= self.times[-1]:
            self.tops[-1] = (bid, ask)
            return
        self.times.append(ts)
        self.tops.append((bid, ask))
        if len(self.times) > _MOST:
            self.forget(self.times[_MOST // 2])

    def note_depth(self, ts: int, bids: float, asks: float) -> None:
        """Visible base quantity near the touch on both sides, before the update at `ts`."""
        self.depth_times.append(ts)
        self.depths.append((bids, asks))

    def forget(self, before: int) -> None:
        """Drop what no longer matters, but the last one before."""
        cut = max(0, bisect_left(self.times, before) - 1)
        if cut > 64:
            del self.times[:cut], self.tops[:cut]
        cut = max(0, bisect_left(self.depth_times, before) - 1)
        if cut > 8:
            del self.depth_times[:cut], self.depths[:cut]

    def mid_before(self, ts: int) -> float | None:
        """The middle that the first fill met."""
        at = bisect_left(self.times, ts) - 1
        return None if at < 0 else sum(self.tops[at]) / 2

    def mid_after(self, ts: int) -> float | None:
        """The middle of the first book at or soon after `ts`, else of the last one before."""
        at = bisect_left(self.times, ts)
        if at < len(self.times) and self.times[at] <= ts + GRACE_NS:
            return sum(self.tops[at]) / 2
        return None if at == 0 else sum(self.tops[at - 1]) / 2

    def depth_before(self, ts: int, side: int) -> float | None:
        """What a taker of this side could see, of the second before `ts`."""
        at = bisect_right(self.depth_times, ts) - 1
        if at < 0 or self.depth_times[at] < ts - 5 * SECOND_NS:
            return None
        bids, asks = self.depths[at]
        return asks if side == BUY else bids

    def impacts(self, ts_first: int, ts_last: int, side: int, until: int) -> dict[int, float]:
        """Basis points by horizon, signed with the side, as far as known at `until`."""
        before = self.mid_before(ts_first)
        found: dict[int, float] = {}
        if not before:
            return found
        sign = 1.0 if side == BUY else -1.0
        for horizon in HORIZONS_NS:
            if ts_last + horizon + GRACE_NS > until:
                break
            after = self.mid_after(ts_last + horizon)
            if after is not None:
                found[horizon] = sign * (after / before - 1.0) * 1e4
        return found


def reach_of(levels: Mapping[int, int], best: int, *, is_bid: bool) -> int:
    """The sizes within `DEPTH_REACH` of the best price, added up."""
    if is_bid:
        edge = best * (1.0 - DEPTH_REACH)
        return sum(size for price, size in levels.items() if price >= edge)
    edge = best * (1.0 + DEPTH_REACH)
    return sum(size for price, size in levels.items() if price <= edge)
