"""Whale alerts as a score reads them."""

from __future__ import annotations

import msgspec

__all__ = ["Whale"]


class Whale(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One revision of an alert. `signed` is its notional in quote, below 0 for a seller;
    `ts_event` is when this revision became known.
    """

    id: str
    revision: int
    venue: str
    ts_event: int
    signed: float
    percentile: float
