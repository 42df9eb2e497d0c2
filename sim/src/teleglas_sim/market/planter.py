"""When and where whales and cascades are planted, and on whose order."""

from collections.abc import Sequence
from math import log
from typing import Protocol

from teleglas_sim.market.book import Side
from teleglas_sim.market.catalog import InstrumentSpec
from teleglas_sim.market.draws import Draws
from teleglas_sim.market.events import ParentOrder
from teleglas_sim.market.flow import OrdinaryFlow
from teleglas_sim.market.whales import (
    WhaleKind,
    cascade_plan,
    side_of,
    sliced_plan,
    wanted_multiple,
)

__all__ = ["Planter", "PlantingConfig"]

FIRST_AFTER_MS = 5_000
# Lone liquidations are ordinary flow: not planted, but published and logged.
LONE_LIQUIDATION_INTERVAL_S = 12.0

Planned = tuple[ParentOrder, list[tuple[int, float]]]


class PlantingConfig(Protocol):
    """The part of the configuration that the planter needs."""

    @property
    def start_ms(self) -> int: ...
    @property
    def whale_interval_s(self) -> float: ...
    @property
    def cascade_interval_s(self) -> float: ...


class Planter:
    """Poisson times per kind; `plant` and `plant_cascade` are also for orders from outside."""

    def __init__(
        self,
        config: PlantingConfig,
        specs: Sequence[InstrumentSpec],
        draws: Draws,
        flows: Sequence[OrdinaryFlow],
        *,
        pace: float,
    ) -> None:
        self._specs = specs
        self._draws = draws
        self._flows = flows
        self._perpetuals = [index for index, spec in enumerate(specs) if spec.perpetual]
        self._intervals_s = {
            "whale": config.whale_interval_s,
            "cascade": config.cascade_interval_s if self._perpetuals else 0.0,
            "lone": LONE_LIQUIDATION_INTERVAL_S / pace if self._perpetuals else 0.0,
        }
        self._next_ms = {
            kind: config.start_ms + FIRST_AFTER_MS + self._wait_ms(interval_s)
            for kind, interval_s in self._intervals_s.items()
            if interval_s > 0
        }
        self._count = 0
        self._asked: list[Planned] = []

    def due(self, now_ms: int, fair: Sequence[float]) -> list[Planned]:
        """What starts now."""
        planned, self._asked = self._asked, []
        for kind, at_ms in self._next_ms.items():
            if now_ms < at_ms:
                continue
            self._next_ms[kind] = now_ms + self._wait_ms(self._intervals_s[kind])
            planned.extend(self._start(kind, now_ms, fair))
        return planned

    def skip(self, lost_ms: int) -> None:
        """Plan for later what fell into lost time."""
        for kind in self._next_ms:
            self._next_ms[kind] += lost_ms

    def plant(
        self,
        kind: WhaleKind,
        instrument: int,
        side: Side,
        now_ms: int,
        fair: float,
        notional_usd: float | None = None,
    ) -> str:
        """Have a whale start with the next step; gives its parent id."""
        planned = self._whale(kind, instrument, side, now_ms, fair, notional_usd)
        self._asked.append(planned)
        return planned[0].id

    def _start(self, kind: str, now_ms: int, fair: Sequence[float]) -> list[Planned]:
        draws = self._draws
        if kind == "whale":
            whale = list(WhaleKind)[draws.below(len(WhaleKind))]
            index = draws.below(len(self._specs))
            return [self._whale(whale, index, side_of(draws), now_ms, fair[index], None)]
        index = self._perpetuals[draws.below(len(self._perpetuals))]
        side = side_of(draws)
        if kind == "lone":
            wanted = self._ranked_size(index, draws.between(0.3, 0.97), fair[index])
            parent = self._parent("liquidation", index, side, now_ms, wanted, planted=False)
            return [(parent, [(now_ms, 1.0)])]
        return self._cascade(index, side, now_ms, fair[index])

    def _whale(
        self,
        kind: WhaleKind,
        index: int,
        side: Side,
        now_ms: int,
        fair: float,
        notional_usd: float | None,
    ) -> Planned:
        large = self._flows[index].large(0.999)
        wanted_usd = notional_usd or large * wanted_multiple(kind, self._draws)
        size = self._specs[index].size_for(wanted_usd, round(fair))
        parent = self._parent(kind.value, index, side, now_ms, size, planted=True)
        if kind is WhaleKind.SLICED:
            children = [(child.ts_ms, child.share) for child in sliced_plan(now_ms, self._draws)]
            return parent, children
        return parent, [(now_ms, 1.0)]

    def _cascade(self, index: int, side: Side, now_ms: int, fair: float) -> list[Planned]:
        self._count += 1
        group = f"c{self._count}"
        planned: list[Planned] = []
        for child in cascade_plan(now_ms, self._draws):
            wanted = self._ranked_size(index, child.share, fair)
            parent = self._parent("liquidation", index, side, child.ts_ms, wanted, planted=True)
            parent.group = group
            planned.append((parent, [(child.ts_ms, 1.0)]))
        return planned

    def _ranked_size(self, index: int, rank: float, fair: float) -> int:
        return self._specs[index].size_for(self._flows[index].large(rank), round(fair))

    def _parent(
        self, kind: str, index: int, side: Side, start_ms: int, wanted: int, *, planted: bool
    ) -> ParentOrder:
        self._count += 1
        parent = ParentOrder(f"w{self._count}", index, side, kind, planted, start_ms)
        parent.wanted = wanted
        return parent

    def _wait_ms(self, mean_s: float) -> int:
        return int(-log(1.0 - self._draws.uniform()) * mean_s * 1000.0)
