"""Repeats on the simulator's trades what `teleglas_sim.market.measured` says of the captures."""

import numpy as np
import pytest

from teleglas_sim.market.catalog import catalog
from teleglas_sim.market.events import BookChanged, Execution
from teleglas_sim.market.market import Market, MarketConfig

SECONDS = 200


class Observed:
    def __init__(self) -> None:
        spec = catalog(1)[0]
        config = MarketConfig(11, 30.0, 1_700_000_000_000, 10, 0.0, 0.0, 10_000)
        market = Market(config, [spec])
        times, sides, notionals, counts, prices, diffs = [], [], [], [], [], []
        for _ in range(SECONDS * 100):
            for event in market.step():
                if isinstance(event, Execution):
                    fills = [spec.notional(price, size) for _id, price, size in event.fills]
                    times.append(event.ts_ms)
                    sides.append(int(event.side))
                    notionals.append(sum(fills))
                    counts.append(len(fills))
                    prices.append(event.fills[-1][1])
                elif isinstance(event, BookChanged):
                    diffs.append(len(event.diff.bids) + len(event.diff.asks))
        self.times = np.asarray(times)
        self.sides = np.asarray(sides) - np.mean(sides)
        self.notionals = np.asarray(notionals)
        self.counts = np.asarray(counts)
        self.prices = np.asarray(prices)
        self.diffs = np.asarray(diffs)

    def fano(self, window_ms: int) -> float:
        counts = np.bincount((self.times - self.times.min()) // window_ms)[:-1]
        return float(counts.var() / counts.mean())

    def sign_correlation(self, lag: int) -> float:
        return float((self.sides[:-lag] * self.sides[lag:]).mean() / self.sides.var())


@pytest.fixture(scope="module")
def observed() -> Observed:
    return Observed()


def test_rate_and_fills_are_near_the_captures(observed: Observed) -> None:
    """28 to 33 trades/s in 9.4 to 12.8 orders/s, two thirds of them with one fill."""
    assert 20 < observed.counts.sum() / SECONDS < 42
    assert 2.2 < observed.counts.mean() < 3.4
    assert 0.55 < (observed.counts == 1).mean() < 0.75


def test_order_sizes_are_near_the_captures(observed: Observed) -> None:
    """Quantiles of an order's notional: 195, 6,233 and 64,115 USD at 50, 90 and 99 %."""
    for percent, usd in ((25, 20.0), (50, 194.8), (75, 1235.0), (90, 6232.5), (99, 64115.0)):
        assert np.percentile(observed.notionals, percent) == pytest.approx(usd, rel=0.45)


def test_arrivals_cluster_like_the_captures(observed: Observed) -> None:
    """Variance over mean of counts: 1.6 to 1.8, 3.8 to 4.9, 10 to 13 and 23 to 25 by window."""
    for window_ms, low, high in ((10, 1.4, 2.1), (100, 2.4, 6.0), (1000, 6, 20), (5000, 11, 50)):
        assert low < observed.fano(window_ms) < high, window_ms
    gaps = np.diff(observed.times)
    assert np.percentile(gaps, 10) <= 2
    assert 3 <= np.percentile(gaps, 25) <= 40


def test_sides_persist_like_the_captures(observed: Observed) -> None:
    """0.36 to 0.44 at lag 1, 0.14 to 0.18 at lag 10."""
    assert 0.3 < observed.sign_correlation(1) < 0.6
    assert 0.08 < observed.sign_correlation(10) < 0.32
    assert abs(observed.sign_correlation(100)) < 0.12


def test_prices_move_like_the_captures(observed: Observed) -> None:
    """1.2 to 1.3 bp a second with fat tails; a diff has about 16 to 30 levels."""
    seconds = np.arange(observed.times.min(), observed.times.max(), 1000)
    place = np.searchsorted(observed.times, seconds, side="right") - 1
    returns = np.diff(np.log(observed.prices[np.maximum(place, 0)]))
    assert 0.7e-4 < returns.std() < 2.4e-4
    kurtosis = ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2
    assert kurtosis > 3.5
    assert 10 < np.median(observed.diffs) < 40


@pytest.mark.parametrize("rate", [300.0, 5000.0])
def test_total_rate_follows_the_target(rate: float) -> None:
    """Over a dozen instruments the rate is what was asked for, give or take the market's moods."""
    market = Market(MarketConfig(3, rate, 1_700_000_000_000), catalog(12))
    for _ in range(2000 if rate < 1000 else 800):
        market.step()
    seconds = (market.now_ms - 1_700_000_000_000) / 1000
    traded = sum(item.market_trades for item in market.instruments)
    assert traded / seconds == pytest.approx(rate, rel=0.35)


def test_a_quiet_market_moves_and_quotes_as_slowly_as_it_trades() -> None:
    """At a hundredth of the captures' orders, book changes and price variance are few alike."""
    busy, quiet = quotes_and_variance(200.0), quotes_and_variance(2.0)
    assert quiet[0] == pytest.approx(busy[0] / 100, rel=0.5)
    assert quiet[1] == pytest.approx(busy[1] / 100, rel=0.8)


def quotes_and_variance(rate: float) -> tuple[float, float]:
    """Changes of the books in a second, and the variance of a second's fair returns."""
    config = MarketConfig(5, rate, 1_700_000_000_000, 10, 0.0, 0.0, 10_000)
    market = Market(config, catalog(12))
    began = sum(instrument.book.version for instrument in market.instruments)
    logs = []
    for _ in range(60):
        for _ in range(100):
            market.step()
        logs.append(market.prices.logs())
    changes = sum(instrument.book.version for instrument in market.instruments) - began
    return changes / 60, float(np.diff(np.asarray(logs), axis=0).var())
