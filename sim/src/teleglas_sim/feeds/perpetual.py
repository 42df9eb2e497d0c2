"""What perpetuals add: mark price, funding, sampled liquidations."""

from dataclasses import dataclass

from teleglas_sim.market.events import Liquidated
from teleglas_sim.market.market import Market

__all__ = ["FUNDING_INTERVAL_MS", "LiquidationSampler", "Mark", "mark_of"]

FUNDING_INTERVAL_MS = 8 * 3_600_000
FUNDING_CAP = 0.003
INTEREST_RATE = 0.0001
SAMPLE_MS = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """In quote units; `funding` is the rate of the period that ends at `next_funding_ms`."""

    mark: float
    index: float
    funding: float
    next_funding_ms: int


def mark_of(market: Market, instrument: int) -> Mark:
    """Mark price and funding at the market's present time."""
    book = market.instruments[instrument].book
    spec = market.specs[instrument]
    index = market.prices.index_price(instrument)
    middle = (book.bids.best + book.asks.best) / 2 / 10.0**spec.price_decimals
    premium = middle / index - 1.0
    # Binance and OKX: premium plus the interest rate clamped to 5 bp around it.
    clamped = min(max(INTEREST_RATE - premium, -0.0005), 0.0005)
    funding = min(max(premium + clamped, -FUNDING_CAP), FUNDING_CAP)
    periods = market.now_ms // FUNDING_INTERVAL_MS + 1
    return Mark((middle + index) / 2, index, funding, periods * FUNDING_INTERVAL_MS)


class LiquidationSampler:
    """Keeps the latest liquidation of each instrument in a second, as the venues publish them."""

    def __init__(self) -> None:
        self._latest: dict[int, Liquidated] = {}
        self._last_ms: dict[int, int] = {}

    def add(self, event: Liquidated) -> None:
        """Note a liquidation; the one before it in the same second is lost to the feed."""
        self._latest[event.instrument] = event

    def due(self, now_ms: int) -> list[Liquidated]:
        """Those to publish now: at most one per instrument and second."""
        ready = [
            event
            for index, event in self._latest.items()
            if now_ms - self._last_ms.get(index, -SAMPLE_MS) >= SAMPLE_MS
        ]
        for event in ready:
            del self._latest[event.instrument]
            self._last_ms[event.instrument] = now_ms
        return ready
