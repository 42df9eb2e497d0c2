"""What part of a break in a feed falls into an interval."""

from __future__ import annotations

from typing import Protocol

from teleglas_market_data.domain.intervals import DAY_NS
from teleglas_market_data.domain.sequences import Hole

__all__ = ["MAX_HOLE_NS", "overlap_ns", "share", "touches_end"]

MAX_HOLE_NS = DAY_NS
"""A longer hole is a feed that was switched off, not missing trades of candles."""


class Span(Protocol):
    @property
    def ts_from(self) -> int: ...

    @property
    def ts_to(self) -> int: ...


def overlap_ns(span: Span, begin: int, end: int) -> int:
    """Length of the part of `span` in [begin, end)."""
    return max(0, min(span.ts_to, end) - max(span.ts_from, begin))


def touches_end(span: Span, begin: int, end: int) -> bool:
    """Whether a span begins or ends in [begin, end)."""
    return begin <= span.ts_from < end or begin <= span.ts_to < end


def share(hole: Hole, begin: int, end: int) -> int:
    """How many of a hole's trades are ascribed to [begin, end), evenly over the hole's time.

    The shares of adjoining intervals sum exactly to the share of their union.
    """
    length = hole.ts_to - hole.ts_from
    if length > MAX_HOLE_NS:
        return 0
    count = hole.last - hole.first + 1
    if length <= 0:
        return count if begin <= hole.ts_to < end else 0
    return _until(hole.ts_from, length, count, end) - _until(hole.ts_from, length, count, begin)


def _until(start: int, length: int, count: int, ts: int) -> int:
    return count * min(max(ts - start, 0), length) // length
