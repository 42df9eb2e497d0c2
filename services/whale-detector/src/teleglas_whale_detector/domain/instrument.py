"""One instrument: from its fills to alerts, by event time alone.

Everything here depends on the order of the fills in their topic and on their times, never on how
they were batched or when they arrived: a timer that is due at `t` runs before the first fill behind
`t`, or when a mark says that none up to `t` comes any more, with the same effect.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from math import ceil

from teleglas_whale_detector.domain.alerts import (
    CLOSE_GAP_NS,
    FINAL_NS,
    Alert,
    Kind,
    Scales,
    Stage,
    alert_id,
    kind_of,
)
from teleglas_whale_detector.domain.parents import FillRow, Parent, joined
from teleglas_whale_detector.domain.sketch import Definition, Sketch
from teleglas_whale_detector.domain.slices import (
    Band,
    Run,
    SliceRules,
    bands_of,
    close_due,
    observe,
)

__all__ = ["Instrument", "Strange", "Working"]

IDS_OF_A_PIECE = 20
"""Of each piece of a sliced parent so many fills are named."""

MINUTE_NS = 60_000_000_000
STRANGE_PRICE = 1.5
"""A price further from the last one by this factor is not believed at first."""
STRANGE_SIZE = 100.0
"""Nor is a fill larger than this many of the largest parent orders so far."""
BELIEVED_AFTER = 20
"""So many strange prices in a row that agree with each other are a new level."""


@dataclass(slots=True)
class Strange:
    """Prints that do not fit the instrument, in a row."""

    price: float = 0.0
    count: int = 0


@dataclass(slots=True)
class Working:
    """A sliced parent that is being worked: its alert, and the score that it is read from."""

    alert: Alert
    run: Run
    band: int
    ratio: int
    since: int = 0


@dataclass(slots=True)
class Instrument:
    """State of one instrument's fills. `out` takes revisions in the order in which they became
    known; `revisions` that wait for books are the shard's business.
    """

    venue: str
    name: str
    definition: Definition
    rules: SliceRules = field(default_factory=SliceRules)
    scales: Scales = field(default_factory=Scales)
    sketch: Sketch = field(default_factory=Sketch)
    clock: int = 0
    order: Parent | None = None
    order_alert: Alert | None = None
    bands: dict[int, Band] = field(default_factory=dict)
    working: dict[int, Working] = field(default_factory=dict)
    minute: int = -1
    threshold: int | None = None
    last_price: float = 0.0
    largest: float = 0.0
    strange: Strange = field(default_factory=Strange)
    closing: list[Alert] = field(default_factory=list)
    out: list[Alert] = field(default_factory=list)
    orders_done: int = 0

    def rescale(self, price_exponent: int, size_exponent: int) -> tuple[int, int]:
        """Take a batch's exponents; return the factors that bring its numbers to ours."""
        factors = self.scales.take(price_exponent, size_exponent)
        if factors != (1, 1):
            for parent in self._parents():
                parent.rescale(*factors)
            for band in self.bands.values():
                for run in band.runs.values():
                    run.notional *= factors[0] * factors[1]
                    run.best_notional *= factors[0] * factors[1]
            for alert in self.tracked():
                alert.threshold *= factors[0] * factors[1]
                alert.price_exponent, alert.size_exponent = self.scales.price, self.scales.size
            if self.threshold is not None:
                self.threshold *= factors[0] * factors[1]
            self.largest *= factors[0] * factors[1]
            self.last_price *= factors[0]
            self.strange.price *= factors[0]
        return (
            10 ** (price_exponent - self.scales.price),
            10 ** (size_exponent - self.scales.size),
        )

    def refuses(self, fill: FillRow) -> str | None:
        """Why a print cannot be believed: its price or its size is of another scale."""
        price = float(fill.price)
        last = self.last_price
        if last and not last / STRANGE_PRICE <= price <= last * STRANGE_PRICE:
            odd = self.strange
            agrees = odd.price and odd.price / STRANGE_PRICE <= price <= odd.price * STRANGE_PRICE
            self.strange = Strange(price, odd.count + 1 if agrees else 1)
            if self.strange.count < BELIEVED_AFTER:
                return "price"
        elif self.largest and price * fill.size > self.largest * STRANGE_SIZE:
            return "size"
        self.last_price, self.strange.count = price, 0
        return None

    def fill(self, fill: FillRow) -> None:
        """Take one market fill; its time is not before the clock."""
        ts, order = fill.ts_event, self.order
        if order is None or ts != order.ts_last or fill.side != order.side:
            self.advance(ts - 1)
            if self.order is not None:
                self._finish()
            if ts // MINUTE_NS != self.minute:
                self._refresh(ts)
            order = self.order = Parent(fill.side, fill.trade_id, ts)
        self.clock = ts
        order.add(fill)
        if self.threshold is not None and order.notional >= self.threshold:
            self._cross(order)

    def advance(self, until: int) -> None:
        """No fill up to `until` comes any more: finish what is over by then, in order of time."""
        if until < self.clock:
            return
        if self.order is not None and self.order.ts_last <= until:
            self._finish()
        while True:
            due = min(
                [alert.parent.ts_last + CLOSE_GAP_NS for alert in self.closing]
                + [close_due(one.run, self.rules) for one in self.working.values()],
                default=None,
            )
            if due is None or due > until:
                break
            self._close(due)
        self.clock = max(self.clock, until)

    def tracked(self) -> list[Alert]:
        """Alerts that may still change here."""
        found = [*self.closing, *(one.alert for one in self.working.values())]
        return found if self.order_alert is None else [*found, self.order_alert]

    def warm_up(self) -> float:
        return self.sketch.warm_up(self.definition)

    def _refresh(self, ts: int) -> None:
        """The threshold in force for a minute: of everything before it."""
        self.minute = ts // MINUTE_NS
        self.sketch.rotate(ts)
        value = self.sketch.threshold(self.definition)
        unit = self.scales.unit
        self.threshold = None if value is None else max(1, ceil(value / unit))
        self.largest = 0.0 if value is None else self.sketch.largest() / unit

    def _cross(self, order: Parent) -> None:
        alert = self.order_alert
        if alert is None:
            if self._belongs(order):
                return
            alert = self.order_alert = self._alert(order, Kind.SWEEP)
            self._reveal(alert, order.ts_last)

    def _belongs(self, order: Parent) -> bool:
        """Whether an order is a piece of a parent at work: then it is no whale by itself."""
        one = self.working.get(order.side)
        if one is None:
            return False
        return one.band in bands_of(order.notional * self.scales.unit)

    def _alert(self, parent: Parent, kind: Kind) -> Alert:
        name = alert_id(
            self.venue, self.name, parent.side, parent.first_id, self.definition.version
        )
        return Alert(
            name, kind, parent, self.threshold or 0, 0.0, Stage.CROSSED, 0,
            self.scales.price, self.scales.size,
        )  # fmt: skip

    def _reveal(self, alert: Alert, ts: int) -> None:
        """Say what is known at `ts`: a copy, so that what comes later does not change it."""
        alert.ts_event = ts
        if alert.kind in (Kind.SWEEP, Kind.BLOCK):
            alert.kind = kind_of(alert.parent)
        value = alert.parent.notional * self.scales.unit
        alert.percentile = self.sketch.percentile(value, self.definition)
        said = copy.copy(alert)
        said.parent = copy.copy(alert.parent)
        said.parent.ids = list(alert.parent.ids)
        self.out.append(said)

    def _finish(self) -> None:
        """The taker order is complete: count it, and look whether it is a piece of a larger one."""
        order, alert = self.order, self.order_alert
        self.order = self.order_alert = None
        if order is None:
            return
        self.orders_done += 1
        if alert is not None:
            self.closing.append(alert)
        value = order.notional * self.scales.unit
        self.sketch.add(value, order.ts_first)
        if self.threshold is not None and order.notional >= (
            self.threshold * self.rules.smallest_share
        ):
            self._piece(copy.copy(order), value)

    def _piece(self, order: Parent, value: float) -> None:
        order.ids = order.ids[:IDS_OF_A_PIECE]
        for number in bands_of(value):
            band = self.bands.get(number)
            if band is None:
                band = self.bands[number] = Band(ts_weight=order.ts_first, ts_first=order.ts_first)
            observe(band, order, self.rules)
        one = self.working.get(order.side)
        if one is None:
            self._find_parent(order)
        elif one.run.ts == order.ts_last:
            one.alert.parent = joined(one.run.orders[: one.run.best])

    def _find_parent(self, order: Parent) -> None:
        threshold = self.threshold or 0
        runs = [
            (run, number, ratio)
            for number, band in self.bands.items()
            for (side, ratio), run in band.runs.items()
            if side == order.side and run.best == len(run.orders) and run.orders
            and run.orders[-1] is order
        ]  # fmt: skip
        if not any(self._is_parent(run, threshold) for run, _, _ in runs):
            return
        likely = [one for one in runs if one[0].score >= self.rules.alarm / 2]
        run, number, ratio = max(likely, key=lambda one: (one[0].notional, -one[1], -one[2]))
        parent = joined(run.orders[: run.best])
        alert = self._alert(parent, Kind.SLICED)
        self._absorb(alert)
        self.working[order.side] = Working(alert, run, number, ratio, parent.ts_first)
        self._reveal(alert, order.ts_last)

    def _absorb(self, alert: Alert) -> None:
        """A piece that was announced by itself: its alert goes on as the parent's."""
        for other in self.closing:
            if other.id == alert.id:
                self.closing.remove(other)
                return

    def _is_parent(self, run: Run, threshold: int) -> bool:
        rules = self.rules
        return (
            run.score >= rules.alarm
            and len(run.orders) >= rules.fewest
            and run.notional >= threshold
        )

    def _close(self, due: int) -> None:
        for alert in [a for a in self.closing if a.parent.ts_last + CLOSE_GAP_NS == due]:
            self.closing.remove(alert)
            self._end(alert, due)
        for side, one in list(self.working.items()):
            if close_due(one.run, self.rules) == due:
                one.alert.parent = joined(one.run.orders[: one.run.best])
                one.run.clear()
                del self.working[side]
                self._end(one.alert, due)

    def _end(self, alert: Alert, due: int) -> None:
        alert.stage = Stage.CLOSED
        self._reveal(alert, due)
        final = copy.copy(alert)
        final.stage = Stage.FINAL
        final.ts_event = max(due + 1, alert.parent.ts_last + FINAL_NS)
        self.out.append(final)

    def _parents(self) -> list[Parent]:
        found: dict[int, Parent] = {}
        for alert in self.tracked():
            found[id(alert.parent)] = alert.parent
        if self.order is not None:
            found[id(self.order)] = self.order
        for band in self.bands.values():
            for run in band.runs.values():
                found |= {id(order): order for order in run.orders}
        return list(found.values())
