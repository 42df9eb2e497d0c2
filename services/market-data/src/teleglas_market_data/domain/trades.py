"""One trade as the domain sees it: a plain tuple, because a busy minute has a hundred thousand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from teleglas_market_data.domain.intervals import SECOND_NS

__all__ = ["BUY", "ENUM_BITS", "MARKET", "ImpossibleTradeError", "TradeRow", "examine"]

INT64_MAX = (1 << 63) - 1
MAX_SIZE = 10**16
"""Sizes above it could overflow a candle's volume; no market has such a trade."""
ENUM_BITS = 15
"""Enumerations are stored in as many; protobuf lets 32 pass."""

TradeRow: TypeAlias = tuple[str, int, int, int, int, int, int, int, int, int, int, bool]
"""id, sequence (0 where the venue has none), kind, side, price, size, contracts, ts_event,
ts_basis, ts_ingest, print, backfilled: as in teleglas.market.v1.Trade."""

BUY = 1
"""Side of a taker that bought."""
MARKET = 1
"""The only kind of print that counts towards candles."""


class ImpossibleTradeError(ValueError):
    """No market can have made this trade."""


def examine(rows: Sequence[TradeRow]) -> bool:
    """Whether rows are a plain run, as nearly all batches are: market prints of one second and one
    kind whose sequences count up by one. Raises ImpossibleTradeError.
    """
    expected, first_kind = rows[0][1], rows[0][2]
    begin = rows[0][7] - rows[0][7] % SECOND_NS
    end = begin + SECOND_NS
    is_plain = True
    for trade_id, sequence, kind, side, price, size, _, ts, basis, _, printed, _ in rows:
        if (
            price <= 0
            or not 0 < size <= MAX_SIZE
            or ts <= 0
            or sequence > INT64_MAX
            or (kind | side | basis | printed) >> ENUM_BITS
            or "\0" in trade_id
        ):
            raise ImpossibleTradeError(
                f"expected price and ts_event above 0, a size above 0 and up to {MAX_SIZE}, a"
                " sequence of 63 bits, known enumerations and an id without NUL, was trade"
                f" {trade_id!r}: {price}, {ts}, {size}, {sequence}"
            )
        if sequence != expected or kind != first_kind or printed != MARKET or not begin <= ts < end:
            is_plain = False
        expected += 1
    return is_plain
