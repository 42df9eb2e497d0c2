"""What the topics already hold of an instrument when its feed begins."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["LeftGap", "LiquidationKey", "Tail"]

LiquidationKey = tuple[int, int, int, int]
"""Side, price, size, ts_event: what makes a liquidation one of its instrument."""


class LeftGap(Struct, frozen=True, kw_only=True):
    """A gap that its writer left open. `missing` are the ids of it that the topic does not have, as
    far as they were traded before the topic's last trade.
    """

    id: str
    channel: int
    cause: int
    ts_from: int
    ts_to: int = 0
    first_missing: int = 0
    last_missing: int = 0
    missing: tuple[tuple[int, int], ...] = ()


class Tail(Struct, frozen=True):
    """Where the last writer stopped, and what it left undone."""

    trade_sequence: int | None = None
    ts_event: int = 0
    left: tuple[LeftGap, ...] = ()
    liquidations: frozenset[LiquidationKey] = frozenset()
