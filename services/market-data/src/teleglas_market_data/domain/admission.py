"""Let each trade of an instrument in once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from teleglas_market_data.domain.sequences import Hole, RecentIds, SeenRanges, Verdict
from teleglas_market_data.domain.trades import TradeRow

__all__ = ["Admission"]


@dataclass(slots=True)
class Admission:
    """Ids of fills and of aggregates never mix: each kind has its own marks."""

    ranges: dict[int, SeenRanges] = field(default_factory=dict)
    recent: dict[int, RecentIds] = field(default_factory=dict)
    has_changes: bool = False
    """Whether holes may have come, gone or been given up."""

    def admit(
        self, rows: Sequence[TradeRow], *, contiguous: bool, is_plain: bool
    ) -> tuple[Sequence[TradeRow], list[TradeRow]]:
        """Split off what is new, and what only the store can tell; drop what was seen.

        `is_plain` says that the sequences count up by one and are of one kind.
        """
        if is_plain and contiguous and self._follows_on(rows):
            return rows, []
        self.has_changes = contiguous
        fresh: list[TradeRow] = []
        unsure: list[TradeRow] = []
        for row in rows:
            verdict = self._by_sequence(row) if contiguous else self._by_id(row)
            if verdict == Verdict.FRESH:
                fresh.append(row)
            elif verdict == Verdict.UNSURE:
                unsure.append(row)
        return fresh, unsure

    def holes(self) -> list[Hole]:
        """Every run of ids that is missing now."""
        return [hole for seen in self.ranges.values() for hole in seen.holes()]

    def take_changes(self) -> list[tuple[Hole, int]]:
        """Holes that came (+1) or went (-1) since the last call."""
        taken: list[tuple[Hole, int]] = []
        self.has_changes = False
        for seen in self.ranges.values():
            if seen.changes:
                taken += [(hole, count) for hole, count in seen.changes.items() if count]
                seen.changes.clear()
        return taken

    def take_forgotten(self) -> list[Hole]:
        """Holes that were given up since the last call: nothing will fill them."""
        taken: list[Hole] = []
        for seen in self.ranges.values():
            taken += seen.forgotten
            seen.forgotten.clear()
        return taken

    def _follows_on(self, rows: Sequence[TradeRow]) -> bool:
        first = rows[0]
        seen = self.ranges.get(first[2])
        if seen is None:
            seen = self.ranges[first[2]] = SeenRanges()
        return seen.extend(first[1], len(rows), first[7], rows[-1][7])

    def _by_sequence(self, row: TradeRow) -> int:
        seen = self.ranges.get(row[2])
        if seen is None:
            seen = self.ranges[row[2]] = SeenRanges()
        return seen.add(row[1], row[7])

    def _by_id(self, row: TradeRow) -> int:
        recent = self.recent.get(row[2])
        if recent is None:
            recent = self.recent[row[2]] = RecentIds()
        verdict = recent.look(row[0], row[7])
        if verdict == Verdict.FRESH:
            recent.insert(row[0], row[7])
        return verdict
