"""Forced orders of one side that come in a row: a cascade, from the venue's liquidation feed alone.

Venues show at most one forced order a second and contract, so totals are lower bounds and a cascade
is told by its orders' crowding, not by its size: at least `least` orders, none further from the
next than `gap_ns`, and more in all than half of the instrument's runs of forced orders were.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from math import ceil

from teleglas_whale_detector.domain.alerts import FINAL_NS, Alert, Kind, Scales, Stage, alert_id
from teleglas_whale_detector.domain.parents import FillRow, Parent
from teleglas_whale_detector.domain.sketch import Definition, Sketch

__all__ = ["CascadeRules", "Cascades"]


@dataclass(frozen=True, slots=True)
class CascadeRules:
    """When forced orders are one event."""

    gap_ns: int = 2_500_000_000
    least: int = 3
    min_observations: int = 20
    """No cascade before so many runs of forced orders of the instrument are known."""


@dataclass(slots=True)
class Cascades:
    """State of one instrument's forced orders; times are those of their own topic."""

    venue: str
    name: str
    definition: Definition
    rules: CascadeRules = field(default_factory=CascadeRules)
    scales: Scales = field(default_factory=Scales)
    sketch: Sketch = field(default_factory=Sketch)
    clock: int = 0
    open: dict[int, Parent] = field(default_factory=dict)
    alerts: dict[int, Alert] = field(default_factory=dict)
    out: list[Alert] = field(default_factory=list)

    def rescale(self, price_exponent: int, size_exponent: int) -> tuple[int, int]:
        """As `Instrument.rescale`."""
        factors = self.scales.take(price_exponent, size_exponent)
        if factors != (1, 1):
            for parent in self.open.values():
                parent.rescale(*factors)
            for alert in self.alerts.values():
                alert.threshold *= factors[0] * factors[1]
                alert.price_exponent, alert.size_exponent = self.scales.price, self.scales.size
        return (
            10 ** (price_exponent - self.scales.price),
            10 ** (size_exponent - self.scales.size),
        )

    def force(self, order: FillRow, *, sampled: bool) -> None:
        """Take one forced order; its time is not before the clock."""
        self.advance(order.ts_event - 1)
        self.clock = order.ts_event
        parent = self.open.get(order.side)
        if parent is None:
            parent = self.open[order.side] = Parent(order.side, order.trade_id, order.ts_event)
        parent.add(order)
        parent.levels = 0
        alert = self.alerts.get(order.side)
        if alert is None and self._is_cascade(parent):
            alert = self.alerts[order.side] = self._alert(parent, sampled=sampled)
            self._reveal(alert, order.ts_event)

    def advance(self, until: int) -> None:
        """No forced order up to `until` comes any more: end the runs that are over by then."""
        if until < self.clock:
            return
        over = sorted(
            (parent.ts_last + self.rules.gap_ns, side) for side, parent in self.open.items()
        )
        for due, side in over:
            if due <= until:
                self._end(side, due)
        self.clock = max(self.clock, until)

    def _is_cascade(self, parent: Parent) -> bool:
        known = self.sketch.observations >= self.rules.min_observations
        return known and parent.fills >= self.rules.least and parent.notional >= self._threshold()

    def _threshold(self) -> int:
        half = replace(self.definition, quantile=0.5, min_observations=self.rules.min_observations)
        return ceil((self.sketch.threshold(half) or 0.0) / self.scales.unit)

    def _alert(self, parent: Parent, *, sampled: bool) -> Alert:
        first = f"liquidation-{parent.ts_first}"
        name = alert_id(self.venue, self.name, parent.side, first, self.definition.version)
        return Alert(
            name, Kind.CASCADE, parent, self._threshold(), 0.0, Stage.CROSSED, 0,
            self.scales.price, self.scales.size, lower_bound=sampled,
        )  # fmt: skip

    def _reveal(self, alert: Alert, ts: int) -> None:
        alert.ts_event = ts
        value = alert.parent.notional * self.scales.unit
        alert.percentile = self.sketch.percentile(value, self.definition)
        said = copy.copy(alert)
        said.parent = copy.copy(alert.parent)
        said.parent.ids = list(alert.parent.ids)
        self.out.append(said)

    def _end(self, side: int, due: int) -> None:
        parent, alert = self.open.pop(side), self.alerts.pop(side, None)
        if alert is not None:
            alert.stage = Stage.CLOSED
            self._reveal(alert, due)
            final = copy.copy(alert)
            final.stage, final.ts_event = Stage.FINAL, max(due + 1, parent.ts_last + FINAL_NS)
            self.out.append(final)
        self.sketch.add(parent.notional * self.scales.unit, parent.ts_first)
