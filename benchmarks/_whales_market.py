"""The simulator's market and the detector's domain in one process, as fast as they go."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from teleglas_sim.feeds.perpetual import LiquidationSampler
from teleglas_sim.market.catalog import InstrumentSpec, catalog
from teleglas_sim.market.events import Execution, Liquidated, ParentClosed, ParentOrder
from teleglas_sim.market.market import Market, MarketConfig
from teleglas_whale_detector.domain.alerts import Alert
from teleglas_whale_detector.domain.cascade import Cascades
from teleglas_whale_detector.domain.instrument import Instrument
from teleglas_whale_detector.domain.parents import FillRow
from teleglas_whale_detector.domain.sketch import Definition

__all__ = ["Outcome", "Run", "Truth", "run_seed"]

MS = 1_000_000
START_MS = 1_700_000_000_000
STEP_MS = 20
MARK_STEPS = 10
INSTRUMENTS = 8
TAIL_NS = 60 * 10**9
BASE_PLACES = 8


@dataclass(frozen=True)
class Run:
    """One seed's market; the intervals are the simulator's own defaults."""

    seed: int
    hours: float
    rate: float


@dataclass(frozen=True)
class Truth:
    """A parent order of the simulator, or a planted cascade; notionals in quote units."""

    instrument: int
    side: int
    kind: str
    ts_first: int
    ts_last: int
    notional: float
    threshold: float


@dataclass
class Outcome:
    """What was there and what was found, without the warm-up."""

    seed: int
    truths: list[Truth] = field(default_factory=list)
    cascades: list[Truth] = field(default_factory=list)
    alerts: list[tuple[int, Alert]] = field(default_factory=list)
    warm_up_s: dict[str, float] = field(default_factory=dict)
    forced_known_ns: dict[int, int] = field(default_factory=dict)
    trades: int = 0
    detector_s: float = 0.0


class Bench:
    """One market with a detector on each instrument."""

    def __init__(self, run: Run) -> None:
        self.specs = catalog(INSTRUMENTS)
        config = MarketConfig(run.seed, run.rate, START_MS, STEP_MS, history=1_000)
        self.market = Market(config, self.specs)
        definition = Definition()
        names = [(spec.venue.value, spec.name) for spec in self.specs]
        self.fills = [Instrument(*name, definition) for name in names]
        self.forced = [Cascades(*name, definition) for name in names]
        for spec, fills, forced in zip(self.specs, self.fills, self.forced, strict=True):
            fills.rescale(-spec.price_decimals, _size_exponent(spec))
            forced.rescale(-spec.price_decimals, _size_exponent(spec))
        self.sampler = LiquidationSampler()
        self.outcome = Outcome(run.seed)
        self.groups: dict[str, list[Truth]] = {}
        self.steps = int(run.hours * 3_600_000 / STEP_MS)

    def run(self) -> Outcome:
        for number in range(self.steps):
            events = self.market.step()
            began_s = time.process_time()
            for event in events:
                if isinstance(event, Execution):
                    self._execute(event)
                elif isinstance(event, ParentClosed):
                    self._close(event.parent)
                elif isinstance(event, Liquidated):
                    self.sampler.add(event)
            self._liquidate()
            if number % MARK_STEPS == 0:
                self._advance(self.market.now_ms * MS - 1)
            self.outcome.detector_s += time.process_time() - began_s
        for closed in self.market.close():
            self._close(closed.parent)
        self._advance(self.market.now_ms * MS + TAIL_NS)
        return self._finished()

    def _execute(self, event: Execution) -> None:
        fills, spec = self.fills[event.instrument], self.specs[event.instrument]
        side, ts = 1 if event.side > 0 else 2, event.ts_ms * MS
        for trade_id, price, size in event.fills:
            if size:
                self.outcome.trades += 1
                fill = FillRow(str(trade_id), side, price, _base(spec, price, size), ts)
                if fills.refuses(fill) is None:
                    fills.fill(fill)
        name = f"{spec.venue.value}:{spec.name}"
        if fills.threshold is not None and name not in self.outcome.warm_up_s:
            self.outcome.warm_up_s[name] = (event.ts_ms - START_MS) / 1000

    def _liquidate(self) -> None:
        now_ms = self.market.now_ms
        for one in self.sampler.due(now_ms):
            forced, spec = self.forced[one.instrument], self.specs[one.instrument]
            side = 1 if one.side > 0 else 2
            price = one.average if one.average > 0 else one.price
            size = _base(spec, price, one.size)
            order = FillRow(str(one.ts_ms), side, price, size, max(one.ts_ms * MS, forced.clock))
            forced.force(order, sampled=True)
            known = forced.sketch.observations >= forced.rules.min_observations
            if known and one.instrument not in self.outcome.forced_known_ns:
                self.outcome.forced_known_ns[one.instrument] = one.ts_ms * MS

    def _advance(self, until: int) -> None:
        for fills, forced in zip(self.fills, self.forced, strict=True):
            fills.advance(until)
            forced.advance(until - 2_000 * MS)

    def _close(self, parent: ParentOrder) -> None:
        fills, spec = self.fills[parent.instrument], self.specs[parent.instrument]
        if fills.threshold is None:
            return
        truth = Truth(
            parent.instrument,
            1 if parent.side > 0 else 2,
            parent.kind,
            parent.start_ms * MS,
            parent.end_ms * MS,
            _notional(spec, parent),
            fills.threshold * fills.scales.unit,
        )
        if parent.group is not None:
            self.groups.setdefault(parent.group, []).append(truth)
        if truth.notional >= truth.threshold:
            self.outcome.truths.append(truth)

    def _finished(self) -> Outcome:
        outcome = self.outcome
        outcome.cascades = [_group(parts) for parts in self.groups.values()]
        for at, (fills, forced) in enumerate(zip(self.fills, self.forced, strict=True)):
            last = {alert.id: alert for alert in [*fills.out, *forced.out]}
            outcome.alerts += [(at, alert) for alert in last.values()]
        return outcome


def run_seed(run: Run) -> Outcome:
    return Bench(run).run()


def _size_exponent(spec: InstrumentSpec) -> int:
    return -BASE_PLACES if spec.contract != 1 else -spec.lot_decimals


def _base(spec: InstrumentSpec, price: int, size: int) -> int:
    """Base quantity, as ingest writes it: OKX swaps trade in contracts."""
    if spec.contract == 1:
        return size
    units = size * spec.contract / 10.0**spec.lot_decimals
    if spec.inverse:
        units /= price / 10.0**spec.price_decimals
    return max(1, round(units * 10.0**BASE_PLACES))


def _notional(spec: InstrumentSpec, parent: ParentOrder) -> float:
    units = parent.notional * spec.contract / 10.0**spec.lot_decimals
    return units if spec.inverse else units / 10.0**spec.price_decimals


def _group(parts: Iterable[Truth]) -> Truth:
    whole = list(parts)
    first = whole[0]
    return Truth(
        first.instrument,
        first.side,
        "cascade",
        min(part.ts_first for part in whole),
        max(part.ts_last for part in whole),
        sum(part.notional for part in whole),
        first.threshold,
    )
