"""Planted parent orders: sweeps, blocks, sliced orders and liquidation cascades."""

from dataclasses import dataclass
from enum import StrEnum

from teleglas_sim.market.book import Side
from teleglas_sim.market.draws import Draws

__all__ = ["CASCADE", "Child", "WhaleKind", "cascade_plan", "sliced_plan", "wanted_multiple"]

CASCADE = "cascade"


class WhaleKind(StrEnum):
    """How a whale trades."""

    SWEEP = "sweep"
    BLOCK = "block"
    SLICED = "sliced"


@dataclass(frozen=True, slots=True)
class Child:
    """A piece of a parent order: when, and which share of its notional."""

    ts_ms: int
    share: float


def wanted_multiple(kind: WhaleKind, draws: Draws) -> float:
    """The parent's notional in multiples of the 99.9 % quantile of ordinary orders."""
    low, high = {
        WhaleKind.SWEEP: (2.0, 6.0),
        WhaleKind.BLOCK: (2.0, 8.0),
        WhaleKind.SLICED: (5.0, 15.0),
    }[kind]
    return draws.between(low, high)


def sliced_plan(start_ms: int, draws: Draws) -> list[Child]:
    """12 to 60 children of jittered size and time over 8 to 60 s."""
    count = 12 + draws.below(49)
    duration_ms = draws.between(8_000.0, 60_000.0)
    weights = [draws.between(0.5, 1.5) for _ in range(count)]
    total = sum(weights)
    step_ms = duration_ms / count
    return [
        Child(start_ms + int(step_ms * (number + draws.between(-0.3, 0.3) + 0.3)), weight / total)
        for number, weight in enumerate(weights)
    ]


def cascade_plan(start_ms: int, draws: Draws) -> list[Child]:
    """10 to 60 forced orders over 2 to 8 s, crowding in the middle; `share` is a size rank."""
    count = 10 + draws.below(51)
    duration_ms = draws.between(2_000.0, 8_000.0)
    times = sorted((draws.uniform() + draws.uniform()) / 2.0 for _ in range(count))
    return [Child(start_ms + int(duration_ms * at), draws.between(0.8, 0.999)) for at in times]


def side_of(draws: Draws) -> Side:
    """Either side, evenly."""
    return Side.BUY if draws.uniform() < 0.5 else Side.SELL
