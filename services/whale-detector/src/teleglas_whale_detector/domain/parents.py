"""Taker orders as their fills show them, and parent orders made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["BUY", "MAX_IDS", "SECOND_NS", "SELL", "FillRow", "Parent", "joined"]

SECOND_NS = 1_000_000_000
BUY, SELL = 1, 2
MAX_IDS = 200
"""Trade ids that an alert names at most; `fills` says how many there were."""


class FillRow(NamedTuple):
    """One fill, its numbers scaled by the instrument's exponents."""

    trade_id: str
    side: int
    price: int
    size: int
    ts_event: int


@dataclass(slots=True)
class Parent:
    """What the fills of one parent order add up to; `notional` is the exact sum of price * size."""

    side: int
    first_id: str
    ts_first: int
    last_id: str = ""
    ts_last: int = 0
    fills: int = 0
    size: int = 0
    notional: int = 0
    levels: int = 0
    last_price: int = 0
    orders: int = 1
    ids: list[str] = field(default_factory=list)

    def add(self, fill: FillRow) -> None:
        """Take one more fill; fills of one order walk through the book level by level."""
        self.last_id, self.ts_last = fill.trade_id, fill.ts_event
        self.fills += 1
        self.size += fill.size
        self.notional += fill.price * fill.size
        if fill.price != self.last_price:
            self.levels += 1
            self.last_price = fill.price
        if len(self.ids) < MAX_IDS:
            self.ids.append(fill.trade_id)

    def rescale(self, price_factor: int, size_factor: int) -> None:
        """Go over to finer exponents."""
        self.size *= size_factor
        self.notional *= price_factor * size_factor
        self.last_price *= price_factor


def joined(parts: Iterable[Parent]) -> Parent:
    """Several taker orders as one parent order, in their order."""
    whole: Parent | None = None
    for part in parts:
        if whole is None:
            whole = Parent(part.side, part.first_id, part.ts_first, orders=0)
        whole.last_id, whole.ts_last = part.last_id, part.ts_last
        whole.fills += part.fills
        whole.size += part.size
        whole.notional += part.notional
        whole.levels += part.levels
        whole.last_price = part.last_price
        whole.orders += part.orders
        whole.ids += part.ids[: MAX_IDS - len(whole.ids)]
    if whole is None:
        raise ValueError("expected at least one taker order, was none")
    return whole
