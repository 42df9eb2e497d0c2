"""Everything that is kept of one market between two records."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from teleglas.market.v1.trade_pb2 import Trade
from teleglas_whale_detector.domain.alerts import Alert
from teleglas_whale_detector.domain.cascade import Cascades
from teleglas_whale_detector.domain.instrument import Instrument
from teleglas_whale_detector.domain.seen import Seen

__all__ = ["Desk"]

KEPT_REVISIONS = 512
"""Of each market so many alerts' last revision numbers are kept."""


@dataclass(slots=True)
class Desk:
    """One market: its fills, its forced orders, and the revisions that wait for its books."""

    fills: Instrument
    forced: Cascades
    seen: dict[int, Seen] = field(default_factory=dict)
    seen_forced: Seen = field(default_factory=Seen)
    waiting: list[tuple[int, str, int, Alert]] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)
    cold_slot: int = 0
    cold_hour: int = -1

    def supersede(self, alert: Alert) -> list[Alert]:
        """A piece that was announced by itself goes on as its parent: what was still to become
        known of it alone is void. What was known before and waits for books is given back in order
        of time: it must be said first.
        """
        own = sorted(one for one in self.waiting if one[1] == alert.id)
        if own:
            self.waiting = [one for one in self.waiting if one[1] != alert.id]
            heapq.heapify(self.waiting)
        return [one for ts_event, _, _, one in own if ts_event < alert.ts_event]

    def needs_from(self) -> int | None:
        """The earliest time whose prices are still wanted, None where nothing waits."""
        tracked = [alert.parent.ts_first for alert in self.fills.tracked()]
        tracked += [alert.parent.ts_first for alert in self.forced.alerts.values()]
        tracked += [alert.parent.ts_first for _, _, _, alert in self.waiting]
        tracked += [parent.ts_first for parent in self.forced.open.values()]
        return min(tracked, default=None)

    def next_revision(self, alert_id: str) -> int:
        """The number of an alert's next revision."""
        revision = self.revisions.get(alert_id, -1) + 1
        self.revisions[alert_id] = revision
        if len(self.revisions) > KEPT_REVISIONS:
            del self.revisions[next(iter(self.revisions))]
        return revision

    def is_new(self, trade: Trade) -> bool:
        """Take a trade's id; False where it was taken before."""
        seen = self.seen.get(trade.kind)
        if seen is None:
            seen = self.seen[trade.kind] = Seen()
        if trade.HasField("sequence"):
            return seen.is_new_sequence(trade.sequence)
        return seen.is_new_id(trade.id[:64])
