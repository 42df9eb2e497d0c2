"""Ordinary flow: side, size and number of fills of the next taker order of one instrument."""

from math import exp

from teleglas_sim.market.book import Side
from teleglas_sim.market.draws import Draws, SizeDraws

__all__ = ["OrdinaryFlow"]

# An order copies the side of the one before with this chance; else a slow pressure decides.
# Set so that signs correlate as in the captures: about 0.45 at lag 1, 0.15 at lag 10.
COPY_SIDE = 0.25
PRESSURE_DEVIATION, PRESSURE_MEMORY_ORDERS = 1.15, 20.0


class OrdinaryFlow:
    """Draws orders one by one."""

    def __init__(self, draws: Draws, sizes: SizeDraws) -> None:
        self._draws = draws
        self._sizes = sizes
        self._pressure = 0.0
        self._last = Side.BUY

    def draw(self) -> tuple[Side, float, int]:
        """`(side, notional in USD, fills)`."""
        notional, fills = self._sizes.draw()
        return self._side(), notional, fills

    def large(self, probability: float) -> float:
        """The notional that this share of ordinary orders stays below."""
        return self._sizes.quantile(probability)

    def _side(self) -> Side:
        draws = self._draws
        kept = 1.0 - 1.0 / PRESSURE_MEMORY_ORDERS
        shock = PRESSURE_DEVIATION * (1.0 - kept * kept) ** 0.5
        self._pressure = kept * self._pressure + shock * draws.normal()
        if draws.uniform() >= COPY_SIDE:
            buy = draws.uniform() < 1.0 / (1.0 + exp(-1.4 * self._pressure))
            self._last = Side.BUY if buy else Side.SELL
        return self._last
