"""How book updates follow one another. A venue picks its rule; nothing here knows a venue."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

__all__ = ["ChainRule", "Continuity", "JoinRule", "RangeRule", "Verdict"]


class Verdict(Enum):
    APPLY = "apply"
    REPEAT = "repeat"
    """Already in the book, or a heartbeat: nothing to do."""
    GAP = "gap"


class Continuity(Protocol):
    """Judges a delta against the last update id that the book holds."""

    def joins_snapshot(self, last: int, first: int, final: int, prev: int) -> Verdict:
        """Judge the first delta after a snapshot whose id is `last`."""

    def follows(self, last: int, first: int, final: int, prev: int) -> Verdict:
        """Judge a delta after another."""


class RangeRule:
    """Each delta covers ids first to final, without holes: `U` and `u` of Binance spot."""

    def joins_snapshot(self, last: int, first: int, final: int, prev: int) -> Verdict:
        return self.follows(last, first, final, prev)

    def follows(self, last: int, first: int, final: int, prev: int) -> Verdict:  # noqa: ARG002
        if final <= last:
            return Verdict.REPEAT
        return Verdict.APPLY if first <= last + 1 else Verdict.GAP


class JoinRule:
    """Deltas name the final id before them, ids skip: `pu` of Binance USD-M."""

    def joins_snapshot(self, last: int, first: int, final: int, prev: int) -> Verdict:
        if final < last:
            return Verdict.REPEAT
        return Verdict.APPLY if first <= last or prev <= last else Verdict.GAP

    def follows(self, last: int, first: int, final: int, prev: int) -> Verdict:  # noqa: ARG002
        if prev == last:
            return Verdict.APPLY
        return Verdict.REPEAT if final <= last else Verdict.GAP


class ChainRule:
    """Snapshot and deltas in one chain: `prevSeqId` and `seqId` of OKX. A heartbeat has both equal,
    a reset follows the chain with a smaller id. Frames without ids (-1) are a chain by themselves.
    """

    def joins_snapshot(self, last: int, first: int, final: int, prev: int) -> Verdict:
        return self.follows(last, first, final, prev)

    def follows(self, last: int, first: int, final: int, prev: int) -> Verdict:  # noqa: ARG002
        if prev == last:
            return Verdict.REPEAT if final == last and final != -1 else Verdict.APPLY
        return Verdict.REPEAT if prev < final <= last else Verdict.GAP
