"""The whole market: steps all instruments, matches flow and whales, tells what happened.

Pure: the same configuration and the same calls give the same events. Ids start
at a multiple of `start_ms`, so that those of a later run are higher. Time is `start_ms` plus whole
steps; whoever drives it decides when to step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import exp

import numpy as np

from teleglas_sim.market.arrivals import Arrivals
from teleglas_sim.market.book import Side
from teleglas_sim.market.catalog import InstrumentSpec
from teleglas_sim.market.draws import Draws, SizeDraws, generator
from teleglas_sim.market.events import (
    BookChanged,
    Event,
    Liquidated,
    ParentClosed,
    ParentOrder,
)
from teleglas_sim.market.flow import OrdinaryFlow
from teleglas_sim.market.matching import InstrumentMarket
from teleglas_sim.market.measured import ARRIVALS
from teleglas_sim.market.planter import Planter
from teleglas_sim.market.prices import FairPrices
from teleglas_sim.market.rate import RateKeeper
from teleglas_sim.market.whales import WhaleKind

__all__ = ["Market", "MarketConfig", "Task"]

DIFF_INTERVAL_MS = 100
FLOW_REACH, FORCED_REACH = 8e-4, 60e-4
LASTING_IMPACT, SHORT_IMPACT = 0.08, 0.35
REFILL_PER_S, REFILL_PER_ORDER = 15.0, 1.2
UPDATES_PER_S, UPDATES_PER_ORDER = 90.0, 1.5


@dataclass(frozen=True, slots=True)
class MarketConfig:
    """`trades_per_s` is the target over all instruments; intervals are means, 0 plants nothing."""

    seed: int
    trades_per_s: float
    start_ms: int
    step_ms: int = 10
    whale_interval_s: float = 15.0
    cascade_interval_s: float = 90.0
    history: int = 65_536


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """A child order that waits for its time; `share` of the parent's notional, or all that is
    wanted.
    """

    ts_ms: int
    number: int
    instrument: int
    share: float
    last: bool


class Market:
    """All instruments under one clock."""

    def __init__(self, config: MarketConfig, specs: Sequence[InstrumentSpec]) -> None:
        self.config = config
        self.specs = tuple(specs)
        self.now_ms = config.start_ms
        step_s = config.step_ms / 1000.0
        seed = config.seed
        self._rate = RateKeeper(config.trades_per_s, specs)
        pace = self._rate.pace
        self.prices = FairPrices(generator(seed, 0), specs, step_s=step_s * pace)
        self._updates_per_s = UPDATES_PER_S * pace
        self._arrivals = Arrivals(generator(seed, 1), self._rate.orders_per_s, step_s=step_s)
        self._draws = Draws(generator(seed, 2))
        self.instruments = [
            InstrumentMarket(
                index,
                spec,
                Draws(generator(seed, 3, index)),
                first_trade_id=config.start_ms,
                history=config.history,
            )
            for index, spec in enumerate(specs)
        ]
        self._flows = [
            OrdinaryFlow(
                Draws(generator(seed, 4, index)),
                SizeDraws(generator(seed, 5, index), spec.sizes, _size_scale(spec)),
            )
            for index, spec in enumerate(specs)
        ]
        self._planter = Planter(config, specs, Draws(generator(seed, 6)), self._flows, pace=pace)
        self._tasks: list[tuple[Task, ParentOrder]] = []
        self._task_number = 0
        self._orders = 0
        self._updates = generator(seed, 7)
        self._fair = self.prices.step()
        for instrument, fair in zip(self.instruments, self._fair, strict=True):
            instrument.makers.open(fair)
            instrument.book.diff()
            instrument.open_interest = round(2e4 * instrument.makers.touch_size)

    def step(self) -> list[Event]:
        """Advance by `step_ms`; events are ordered by time within an instrument."""
        config = self.config
        began_ms, self.now_ms = self.now_ms, self.now_ms + config.step_ms
        step_s = config.step_ms / 1000.0
        events: list[Event] = []
        self._fair = self.prices.step()
        for parent, children in self._planter.due(began_ms, self._fair):
            self.enqueue(parent, children)
        heads = self._arrivals.step(self.prices.activity())
        rates = self._rate.orders_per_s * self._arrivals.scale
        updates = self._updates.poisson((self._updates_per_s + UPDATES_PER_ORDER * rates) * step_s)
        before = sum(instrument.market_trades for instrument in self.instruments)
        planned = self._due_children(self.now_ms)
        for instrument, head_count, update_count, rate in zip(
            self.instruments, heads, updates.tolist(), rates.tolist(), strict=True
        ):
            index = instrument.index
            refill = 1.0 - exp(-(REFILL_PER_S + REFILL_PER_ORDER * rate) * step_s)
            instrument.makers.follow(self._fair[index], update_count, refill)
            instrument.note_top(began_ms, events)
            for ts_ms in self._arrival_times(began_ms, head_count):
                self._ordinary(instrument, ts_ms, events)
            for task, parent in planned.get(index, ()):
                self._child(instrument, task, parent, events)
            if (self.now_ms + index * config.step_ms) % DIFF_INTERVAL_MS < config.step_ms:
                diff = instrument.book.diff()
                if diff is not None:
                    events.append(BookChanged(index, self.now_ms, diff))
        done = sum(instrument.market_trades for instrument in self.instruments) - before
        self._arrivals.scale = self._rate.observe(done, step_s)
        return events

    def plant(
        self, kind: WhaleKind, instrument: int, side: Side, notional: float | None = None
    ) -> str:
        """Have a whale start with the next step; gives its parent id."""
        fair = self._fair[instrument]
        return self._planter.plant(kind, instrument, side, self.now_ms, fair, notional)

    def skip(self, lost_ms: int) -> None:
        """Jump over time in which nobody stepped; what was planned in it comes later instead."""
        self.now_ms += lost_ms
        self._planter.skip(lost_ms)
        self._tasks = [
            (replace(task, ts_ms=task.ts_ms + lost_ms), parent) for task, parent in self._tasks
        ]

    def enqueue(self, parent: ParentOrder, children: Sequence[tuple[int, float]]) -> None:
        """Schedule a parent's children: `(time, share of what is wanted)`."""
        for number, (ts_ms, share) in enumerate(children):
            self._task_number += 1
            last = number == len(children) - 1
            task = Task(ts_ms, self._task_number, parent.instrument, share, last)
            heappush(self._tasks, (task, parent))

    def close(self) -> list[ParentClosed]:
        """The parents that are still at work, as far as they came: for the end of a run."""
        parents = {parent.id: parent for _task, parent in sorted(self._tasks, key=_by_number)}
        self._tasks.clear()
        return [ParentClosed(parent) for parent in parents.values() if parent.children]

    def _due_children(self, until_ms: int) -> dict[int, list[tuple[Task, ParentOrder]]]:
        due: dict[int, list[tuple[Task, ParentOrder]]] = {}
        while self._tasks and self._tasks[0][0].ts_ms < until_ms:
            task, parent = heappop(self._tasks)
            due.setdefault(task.instrument, []).append((task, parent))
        return due

    def _arrival_times(self, began_ms: int, heads: int) -> list[int]:
        """Each head at a random ms of the step, its followers a few ms later but inside the
        step.
        """
        if not heads:
            return []
        draws, last = self._draws, self.now_ms - 1
        times: list[int] = []
        for _ in range(heads):
            at = began_ms + draws.below(self.config.step_ms)
            times.append(at)
            while draws.uniform() < ARRIVALS.follow:
                at = min(last, at + draws.below(int(2 * ARRIVALS.follow_gap_ms) + 1))
                times.append(at)
        times.sort()
        return times

    def _ordinary(self, instrument: InstrumentMarket, ts_ms: int, events: list[Event]) -> None:
        side, notional, fills = self._flows[instrument.index].draw()
        self._orders += 1
        parent = ParentOrder(
            f"f{self._orders}", instrument.index, side, "flow", planted=False, start_ms=ts_ms
        )
        parent.wanted = instrument.spec.size_for(notional, round(self._fair[instrument.index]))
        self._execute(instrument, parent, parent.wanted, fills, ts_ms, events, FLOW_REACH)
        if parent.children:
            events.append(ParentClosed(parent))

    def _child(
        self,
        instrument: InstrumentMarket,
        task: Task,
        parent: ParentOrder,
        events: list[Event],
    ) -> None:
        lot = instrument.spec.lot
        size = max(lot, int(parent.wanted * task.share) // lot * lot)
        ts_ms = max(task.ts_ms, self.now_ms - self.config.step_ms)
        if parent.kind == "block":
            self._rest_block(instrument, parent.side.opposite, size)
        splits = 1 + self._draws.below(6 + int(24 * task.share))
        filled = self._execute(instrument, parent, size, splits, ts_ms, events, FORCED_REACH)
        if parent.kind == "liquidation" and filled:
            self._liquidated(instrument, parent, size, ts_ms, events)
        if task.last and parent.children:
            events.append(ParentClosed(parent))

    def _execute(
        self,
        instrument: InstrumentMarket,
        parent: ParentOrder,
        size: int,
        splits: int,
        ts_ms: int,
        events: list[Event],
        reach: float,
    ) -> bool:
        best = instrument.book.side(parent.side.opposite).best
        fills = instrument.take(parent, size, splits, ts_ms, events, reach=reach)
        if not fills:
            return False
        worst = next(price for _id, price, size in reversed(fills) if size)
        if worst != best:
            move = float(np.log(worst / best))
            self.prices.push(instrument.index, move * SHORT_IMPACT, lasting=LASTING_IMPACT)
        if instrument.spec.perpetual:
            opened = 1 if self._draws.uniform() < 0.5 else -1
            change = opened * sum(amount for _id, _price, amount in fills)
            instrument.open_interest = max(1, instrument.open_interest + change)
        return True

    def _rest_block(self, instrument: InstrumentMarket, side: Side, size: int) -> None:
        """A block meets one resting order of its own size at the touch."""
        book = instrument.book
        resting = book.side(side)
        book.put(resting, resting.best, resting.sizes[resting.best] + size)

    def _liquidated(
        self,
        instrument: InstrumentMarket,
        parent: ParentOrder,
        size: int,
        ts_ms: int,
        events: list[Event],
    ) -> None:
        spec = instrument.spec
        average = parent.price_worst
        if not spec.inverse:
            average = round(parent.notional / parent.size)
        price = round(parent.price_worst * (1.0 - parent.side * 0.004))
        events.append(
            Liquidated(instrument.index, parent.side, ts_ms, size, price, average, parent.size)
        )
        if spec.venue == "binance-usdm" and self._draws.uniform() < 0.05:
            far = round(parent.price_worst * (1.0 + parent.side * 0.012))
            events.append(instrument.print_outside(parent.side, far, spec.lot * 3, ts_ms))


def _size_scale(spec: InstrumentSpec) -> float:
    """Perpetuals of other assets trade smaller than BTC's, which the table was measured on."""
    return 1.0 if spec.asset.name == "BTC" or not spec.perpetual else 0.5


def _by_number(item: tuple[Task, ParentOrder]) -> int:
    return item[0].number
