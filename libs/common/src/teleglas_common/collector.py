"""How often Python looks for reference cycles."""

from __future__ import annotations

import gc

__all__ = ["collect_rarely"]


def collect_rarely() -> None:
    """Look after 100,000 new objects, not after 700.

    What services keep lives long: market-data's rows until the next checkpoint, the gateway's
    newest messages until memory is full. With the default the collector walks through it again and
    again and finds nothing: it took a third of the time of `make bench NAME=candles` at 4 trades a
    record. What it is for, cycles, comes from exceptions and tasks, a few a second.
    """
    gc.set_threshold(100_000, 20, 20)
    gc.freeze()
