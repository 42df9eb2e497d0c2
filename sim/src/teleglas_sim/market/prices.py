"""Fair prices: one random walk per base asset, shared by its instruments, and each venue's own
noise.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from teleglas_sim.market.catalog import Asset, InstrumentSpec
from teleglas_sim.market.draws import Vector

__all__ = ["FairPrices"]

SECOND_DEVIATION = 1.0e-4
COMMON_SHARE = 0.65
# Volatility is e to two Ornstein-Uhlenbeck states: deviation and memory in seconds.
VOLATILITY_STATES = ((0.45, 20.0), (0.35, 600.0))
JUMPS_PER_S = 0.01
JUMP_DEVIATION = 4e-4
NOISE_DEVIATION, NOISE_MEMORY_S = 0.4e-4, 5.0
PREMIUM_DEVIATION, PREMIUM_MEMORY_S = 3e-4, 900.0
IMPACT_MEMORY_S = 20.0


class FairPrices:
    """Steps all instruments at once; arrays are indexed by instrument, or by asset where said."""

    def __init__(
        self, source: Generator, specs: Sequence[InstrumentSpec], *, step_s: float
    ) -> None:
        assets: list[Asset] = list(dict.fromkeys(spec.asset for spec in specs))
        self._source = source
        self._step_s = step_s
        self._of = np.asarray([assets.index(spec.asset) for spec in specs])
        self._perpetual = np.asarray([spec.perpetual for spec in specs], dtype=np.float64)
        self._scale = np.asarray([10.0**spec.price_decimals for spec in specs])
        self._log = np.log(np.asarray([asset.price_usd for asset in assets]))
        relative = np.asarray([asset.volatility for asset in assets])
        self._deviation = relative * SECOND_DEVIATION * step_s**0.5
        self._volatility = np.zeros((len(VOLATILITY_STATES), 1 + len(assets)))
        self._noise = np.zeros(len(specs))
        self._premium = np.zeros(len(specs))
        self._impact = np.zeros(len(specs))

    def step(self) -> list[float]:
        """Advance and give each instrument's fair price in its own integers, unrounded."""
        source, step_s = self._source, self._step_s
        assets = len(self._log)
        shocks = source.standard_normal(2 + 3 * (1 + assets) + 2 * len(self._of))
        first, second = self._volatility
        cut = 1 + assets
        _revert(first, VOLATILITY_STATES[0], shocks[:cut], step_s)
        _revert(second, VOLATILITY_STATES[1], shocks[cut : 2 * cut], step_s)
        move = shocks[2 * cut : 3 * cut]
        level = np.exp(first + second)
        common = COMMON_SHARE * move[0] * level[0]
        own = (1 - COMMON_SHARE**2) ** 0.5 * move[1:] * level[1:]
        self._log += self._deviation * (common + own)
        if source.random() < JUMPS_PER_S * step_s:
            self._log += shocks[-1] * JUMP_DEVIATION * source.random(assets)
        venue = shocks[3 * cut : 3 * cut + 2 * len(self._of)].reshape(2, -1)
        _revert(self._noise, (NOISE_DEVIATION, NOISE_MEMORY_S), venue[0], step_s)
        _revert(self._premium, (PREMIUM_DEVIATION, PREMIUM_MEMORY_S), venue[1], step_s)
        self._impact *= 1.0 - step_s / IMPACT_MEMORY_S
        fair: list[float] = (np.exp(self.logs()) * self._scale).tolist()
        return fair

    def logs(self) -> Vector:
        """Log fair price per instrument."""
        offset = self._noise + self._premium * self._perpetual + self._impact
        return np.asarray(self._log[self._of] + offset)

    def index_price(self, instrument: int) -> float:
        """The asset's own price, which perpetuals are marked against."""
        return float(np.exp(self._log[self._of[instrument]]))

    def activity(self) -> float:
        """How busy the whole market is: follows the common volatility."""
        return float(np.exp(0.5 * (self._volatility[0, 0] + self._volatility[1, 0])))

    def jump(self, log_move: float) -> None:
        """Move every asset at once, for good."""
        self._log += log_move

    def push(self, instrument: int, log_move: float, *, lasting: float) -> None:
        """Let a trade's move stay: `lasting` of it for all venues of the asset, the rest here
        for a while.
        """
        self._log[self._of[instrument]] += log_move * lasting
        self._impact[instrument] += log_move * (1 - lasting)


def _revert(
    state: Vector,
    shape: tuple[float, float],
    shocks: Vector,
    step_s: float,
) -> None:
    deviation, memory_s = shape
    state *= 1.0 - step_s / memory_s
    state += shocks * (deviation * (2.0 * step_s / memory_s) ** 0.5)
