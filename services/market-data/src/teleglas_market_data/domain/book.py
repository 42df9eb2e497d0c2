"""One instrument's order book, from snapshots and deltas in sequence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nlargest, nsmallest
from typing import NamedTuple

__all__ = ["Book", "BookChange", "Levels", "TopOfBook"]

Levels = list[tuple[int, int]]
"""(price, size) of one side, best first."""


class BookChange(NamedTuple):
    """A snapshot, or a delta where size 0 removes a level."""

    is_snapshot: bool
    epoch: int
    sequence: int
    prev_sequence: int
    ts_event: int
    bids: Iterable[tuple[int, int]]
    asks: Iterable[tuple[int, int]]


class TopOfBook(NamedTuple):
    """The best prices at a time."""

    ts_event: int
    bid: int
    ask: int


@dataclass(slots=True)
class Book:
    """Empty until the first snapshot and after a break, until the next one."""

    epoch: int = 0
    sequence: int = 0
    ts_event: int = 0
    is_synced: bool = False
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    _best_bid: int | None = None
    _best_ask: int | None = None

    def apply(self, change: BookChange) -> bool:
        """Take a change; False when it does not follow, which leaves the book unsynced.

        What is older than the book is skipped, so that reading again from a snapshot is harmless.
        """
        if change.epoch < self.epoch:
            return True
        if change.is_snapshot:
            return self._replace(change)
        if not self.is_synced:
            return True
        if change.epoch == self.epoch and change.sequence <= self.sequence:
            return True
        if change.epoch != self.epoch or change.prev_sequence != self.sequence:
            self._clear()
            return False
        self._best_bid = _merge(self.bids, change.bids, self._best_bid, 1)
        self._best_ask = _merge(self.asks, change.asks, self._best_ask, -1)
        self.sequence, self.ts_event = change.sequence, change.ts_event
        return True

    def top(self) -> TopOfBook | None:
        """Best bid and ask; None while a side is unknown or empty."""
        if not self.is_synced or not self.bids or not self.asks:
            return None
        if self._best_bid is None:
            self._best_bid = max(self.bids)
        if self._best_ask is None:
            self._best_ask = min(self.asks)
        return TopOfBook(self.ts_event, self._best_bid, self._best_ask)

    def levels(self, depth: int = 0) -> tuple[Levels, Levels]:
        """Bids and asks, best first; `depth` 0 means all of them."""
        if depth:
            bids, asks = nlargest(depth, self.bids.items()), nsmallest(depth, self.asks.items())
        else:
            bids, asks = sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
        return bids, asks

    def _replace(self, change: BookChange) -> bool:
        if change.epoch == self.epoch and self.is_synced and change.sequence < self.sequence:
            return True
        self.bids = {price: size for price, size in change.bids if size}
        self.asks = {price: size for price, size in change.asks if size}
        self._best_bid = self._best_ask = None
        self.epoch, self.sequence = change.epoch, change.sequence
        self.ts_event, self.is_synced = change.ts_event, True
        return True

    def _clear(self) -> None:
        self.bids, self.asks = {}, {}
        self._best_bid = self._best_ask = None
        self.is_synced = False


def _merge(
    side: dict[int, int], levels: Iterable[tuple[int, int]], best: int | None, sign: int
) -> int | None:
    """Set levels and return the best price, None where it must be looked for again."""
    for price, size in levels:
        if size:
            side[price] = size
            if best is not None and sign * price > sign * best:
                best = price
        else:
            side.pop(price, None)
            if price == best:
                best = None
    return best
