"""Keeps the total of trades per second at its target."""

from collections.abc import Sequence

import numpy as np

from teleglas_sim.market.catalog import InstrumentSpec
from teleglas_sim.market.measured import ORDERS_PER_S

__all__ = ["RateKeeper"]

# What the matching makes of the measured tables; the captures have 2.6 to 3.2.
FILLS_PER_ORDER = 2.7
MEMORY_S = 5.0
# Counts of a slow market are mostly noise: the correction is gentle there.
NOISY_ORDERS_PER_S = 200.0
BOUNDS = (0.3, 3.0)


class RateKeeper:
    """Starts from the measured fills per order and corrects slowly by what was traded.

    `pace` is the speed of a market that is quieter than the recorded one: prices move and makers
    change their quotes by a clock that is slower by the same factor as trades are fewer. A busier
    market has more trades by an unchanged clock.
    """

    def __init__(self, trades_per_s: float, specs: Sequence[InstrumentSpec]) -> None:
        if trades_per_s <= 0:
            raise ValueError(f"expected a rate above 0 trades/s, got {trades_per_s}")
        weights = np.asarray([spec.activity for spec in specs])
        self.target = trades_per_s
        self.orders_per_s = weights / weights.sum() * (trades_per_s / FILLS_PER_ORDER)
        self.pace = min(1.0, float(self.orders_per_s.sum() / weights.sum()) / ORDERS_PER_S)
        self._strength = 1.0 / (1.0 + NOISY_ORDERS_PER_S * FILLS_PER_ORDER / trades_per_s)
        self._mean = trades_per_s
        self._scale = 1.0

    def observe(self, trades: int, step_s: float) -> float:
        """Count a step's trades; gives the factor for the arrivals."""
        weight = step_s / MEMORY_S
        self._mean += weight * (trades / step_s - self._mean)
        drift = (self.target - self._mean) / self.target
        self._scale *= 1.0 + self._strength * weight * drift
        self._scale = min(max(self._scale, BOUNDS[0]), BOUNDS[1])
        return self._scale
