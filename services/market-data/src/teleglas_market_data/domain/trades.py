"""One trade as the domain sees it: a plain tuple, because a busy minute has a hundred thousand."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["BUY", "MARKET", "TradeRow"]

TradeRow: TypeAlias = tuple[str, int, int, int, int, int, int, int, int, int, int, bool]
"""id, sequence (0 where the venue has none), kind, side, price, size, contracts, ts_event,
ts_basis, ts_ingest, print, backfilled: as in teleglas.market.v1.Trade."""

BUY = 1
"""Side of a taker that bought."""
MARKET = 1
"""The only kind of print that counts towards candles."""
