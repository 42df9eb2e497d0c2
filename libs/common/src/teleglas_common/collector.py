"""How often Python looks for reference cycles."""

from __future__ import annotations

import gc

__all__ = ["collect_rarely"]


def collect_rarely() -> None:
    """Look after 100,000 new objects, not after 700.

    Rows of trades live until the next checkpoint, so with the default the collector walks through
    them again and again and finds nothing: it took a third of the time of `make bench NAME=candles`
    at 4 trades a record. What it is for, cycles, comes from exceptions and tasks, a few a second.
    """
    gc.set_threshold(100_000, 20, 20)
    gc.freeze()
