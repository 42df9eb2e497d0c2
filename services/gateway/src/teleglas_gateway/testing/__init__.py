"""Fakes of the gateway's ports and builders of records, for its tests and benchmarks."""

from __future__ import annotations

from teleglas_gateway.testing.fakes import (
    ALL_SCOPES,
    GRANT,
    KEY,
    MemoryClaims,
    MemoryKeys,
    MemoryLimiter,
    MemoryTickets,
    key_record,
)
from teleglas_gateway.testing.records import (
    T0_NS,
    book_delta,
    book_snapshot,
    candle,
    instrument,
    list_instruments,
    publish,
    trade_batch,
)

__all__ = [
    "ALL_SCOPES",
    "GRANT",
    "KEY",
    "T0_NS",
    "MemoryClaims",
    "MemoryKeys",
    "MemoryLimiter",
    "MemoryTickets",
    "book_delta",
    "book_snapshot",
    "candle",
    "instrument",
    "key_record",
    "list_instruments",
    "publish",
    "trade_batch",
]
