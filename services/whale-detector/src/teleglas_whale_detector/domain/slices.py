"""Parent orders that are worked in pieces: taker orders of one side and of like size that come
closer together than the instrument's usual ones do.

Each band of sizes keeps a score a side (Page's test for a change of a Poisson rate): a piece adds
the logarithm of how much likelier it is under a higher rate, each second takes away what a silent
second speaks against it. The score is at zero where nothing goes on; a parent begins where the
score last left zero and ends at its highest point. So the gap rule is learned: rare sizes may lie
seconds apart, common ones must crowd. A band is 5.2 wide and begins every factor 1.73, so that
pieces whose sizes differ by a factor of three have one band in common.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log

from teleglas_whale_detector.domain.parents import SECOND_NS, Parent, joined

__all__ = ["Band", "Run", "SliceRules", "bands_of", "close_due", "observe"]

_STEP = log(3.0) / 2.0


@dataclass(frozen=True, slots=True)
class SliceRules:
    """How unlikely a parent must be by chance, and how soon its silence ends it."""

    alarm: float = 12.0
    drop: float = 5.0
    ratios: tuple[float, ...] = (5.0,)
    least_rate_per_s: float = 0.1
    usual_margin: float = 1.3
    memory_s: float = 1_800.0
    smallest_share: float = 0.03
    """A piece is at least this share of the threshold."""
    fewest: int = 4
    most: int = 600


@dataclass(slots=True)
class Run:
    """An excursion of one score; the first `best` orders are those up to its highest point."""

    score: float = 0.0
    highest: float = 0.0
    ts: int = 0
    loss_per_s: float = 0.0
    orders: list[Parent] = field(default_factory=list)
    best: int = 0
    notional: int = 0
    best_notional: int = 0

    def shorten(self) -> None:
        """Keep the older half as one sum."""
        half = len(self.orders) // 2
        if self.best < half:
            self.clear()
            return
        self.orders[:half] = [joined(self.orders[:half])]
        self.best -= half - 1

    def clear(self) -> None:
        self.score = self.highest = 0.0
        self.orders, self.best, self.notional, self.best_notional = [], 0, 0, 0


@dataclass(slots=True)
class Band:
    """One band of sizes: how often orders of both sides come, and the scores by side and ratio."""

    weight: float = 0.0
    ts_weight: int = 0
    ts_first: int = 0
    runs: dict[tuple[int, int], Run] = field(default_factory=dict)

    def rate_per_s(self, ts: int, rules: SliceRules) -> float:
        """Orders of one side a second, faded by `memory_s`."""
        memory = rules.memory_s
        faded = self.weight * exp(-(ts - self.ts_weight) / SECOND_NS / memory)
        span = memory * (1.0 - exp(-max(1.0, (ts - self.ts_first) / SECOND_NS) / memory))
        return max(faded / span / 2.0, 0.5 / memory)

    def count(self, ts: int, rules: SliceRules) -> None:
        self.weight = self.weight * exp(-(ts - self.ts_weight) / SECOND_NS / rules.memory_s) + 1.0
        self.ts_weight = ts


def bands_of(notional: float) -> tuple[int, int, int]:
    """The three bands that a size lies in."""
    middle = round(log(notional) / _STEP)
    return middle - 1, middle, middle + 1


def observe(band: Band, order: Parent, rules: SliceRules) -> list[Run]:
    """Take an order into a band's scores; return them."""
    usual = band.rate_per_s(order.ts_first, rules) * rules.usual_margin
    band.count(order.ts_first, rules)
    touched: list[Run] = []
    for number, ratio in enumerate(rules.ratios):
        run = band.runs.get((order.side, number))
        if run is None:
            run = band.runs[order.side, number] = Run()
        higher = max(usual * ratio, rules.least_rate_per_s)
        run.score -= run.loss_per_s * (order.ts_first - run.ts) / SECOND_NS
        if run.score <= 0:
            run.clear()
        elif len(run.orders) >= rules.most:
            run.shorten()
        run.score += log(higher / usual)
        run.ts, run.loss_per_s = order.ts_last, higher - usual
        run.orders.append(order)
        run.notional += order.notional
        if run.score > run.highest:
            run.highest, run.best, run.best_notional = run.score, len(run.orders), run.notional
        touched.append(run)
    return touched


def close_due(run: Run, rules: SliceRules) -> int:
    """When the silence after the last order has ended the parent, ns of event time."""
    left = min(run.score, run.score - (run.highest - rules.drop))
    return run.ts + max(1, int(max(left, 0.0) / run.loss_per_s * SECOND_NS))
