"""How a feed is run."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["FeedPolicy"]


class FeedPolicy(Struct, frozen=True, kw_only=True):
    max_batch_trades: int = 512
    max_batch_age_ns: int = 20_000_000
    snapshot_every_ns: int = 10_000_000_000
    """By our clock and by event time, whichever is sooner."""
    ticker_window_ns: int = 50_000_000
    """Bid and ask that change faster than this are conflated: the last of a window is published."""
    book_hold_ns: int = 30_000_000_000
    """A book that is not back by then holds the marks of its partition no longer."""
