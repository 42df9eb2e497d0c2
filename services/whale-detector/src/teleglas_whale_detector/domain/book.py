"""One instrument's order book, as far as best prices and near depth need it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Book"]


@dataclass(slots=True)
class Book:
    """Empty until the first snapshot and after a break, until the next one."""

    epoch: int = 0
    sequence: int = 0
    is_synced: bool = False
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    _best: list[int | None] = field(default_factory=lambda: [None, None])

    def replace(
        self,
        epoch: int,
        sequence: int,
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
    ) -> None:
        """Take a snapshot; one that is older than the book is skipped."""
        old = epoch < self.epoch or (epoch == self.epoch and sequence < self.sequence)
        if self.is_synced and old:
            return
        self.bids = {price: size for price, size in bids if size}
        self.asks = {price: size for price, size in asks if size}
        self._best = [None, None]
        self.epoch, self.sequence, self.is_synced = epoch, sequence, True

    def change(
        self,
        epoch: int,
        span: tuple[int, int],
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
    ) -> bool:
        """Take a delta with its `(prev_sequence, sequence)`; False when it does not follow, which
        leaves the book unsynced.
        """
        previous, sequence = span
        if not self.is_synced or epoch < self.epoch:
            return True
        if epoch == self.epoch and sequence <= self.sequence:
            return True
        if epoch != self.epoch or previous != self.sequence:
            self.bids, self.asks, self.is_synced = {}, {}, False
            self._best = [None, None]
            return False
        self._merge(self.bids, bids, 0)
        self._merge(self.asks, asks, 1)
        self.sequence = sequence
        return True

    def top(self) -> tuple[int, int] | None:
        """Best bid and ask; None while a side is unknown or empty."""
        if not self.is_synced or not self.bids or not self.asks:
            return None
        bid, ask = self._best
        if bid is None:
            bid = self._best[0] = max(self.bids)
        if ask is None:
            ask = self._best[1] = min(self.asks)
        return bid, ask

    def _merge(self, side: dict[int, int], levels: Iterable[tuple[int, int]], at: int) -> None:
        best, sign = self._best[at], -1 if at else 1
        for price, size in levels:
            if size:
                side[price] = size
                if best is not None and sign * price > sign * best:
                    best = price
            else:
                side.pop(price, None)
                if price == best:
                    best = None
        self._best[at] = best
