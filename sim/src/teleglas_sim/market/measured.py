"""What the recorded Binance frames say about order sizes, fills and arrivals.

Measured over the captures of 2024-08-08/09 (spot BTCUSDT: 7,135 taker orders, ETHUSDT: 4,955) and
2024-07-18/19 (USD-M BTCUSDT: 3,631). A taker order is a run of `@trade` messages with the same `T`
and the same `m`, insurance-fund prints left out; its notional is the sum of price times quantity.
`sim/tests/unit/test_market_statistics.py` repeats the measurement on the simulator's own trades.

Arrivals, per second and by counts in windows (variance over mean): 9 to 13 spot orders/s, fano 1.6
to 1.8 at 10 ms, 3.8 to 5.5 at 100 ms, 8 to 20 at 1 s, 13 to 48 at 5 s; a tenth of the gaps is at
most 1 ms, a quarter at most 13 to 26 ms, while the mean is 78 to 179 ms. Signs of successive
orders correlate by 0.36 to 0.56 at lag 1 and 0.11 to 0.19 at lag 10. 2.6 to 3.2 fills an order, 58
to 70 % of orders have one. One-second returns of spot have a deviation of 1.1 to 1.4 bp.

Quieter moments have fewer changes of the book: over windows of 5 s, changes of the best quotes
follow the orders with an elasticity of 0.5 to 1.1, changed levels with one of 0.4 to 0.9.
"""

from dataclasses import dataclass

__all__ = [
    "ARRIVALS",
    "ORDERS_PER_S",
    "SPOT_BTC_SIZES",
    "SPOT_OTHER_SIZES",
    "USDM_SIZES",
    "ArrivalShape",
    "SizeTable",
]

# Of spot BTC, the mean of both days.
ORDERS_PER_S = 11.0

PROBABILITIES = (
    0.0, 0.005, 0.02, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.85, 0.90, 0.95,
    0.975, 0.99, 0.995, 0.999, 1.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SizeTable:
    """Quantiles of a taker order's notional in USD, and its fills by quantile band.

    `fills` rows: upper probability of the band, share of orders with one fill, mean number of
    fills.
    """

    notional_usd: tuple[float, ...]
    fills: tuple[tuple[float, float, float], ...]
    smallest_fill_usd: float


SPOT_BTC_SIZES = SizeTable(
    (
        1.0, 4.9, 5.5, 5.6, 10.5, 15.4, 27.2, 67.8, 194.8, 423.5, 901.6, 1999.8, 3386.8, 6232.5,
        15703.2, 30260.9, 64115.2, 99704.1, 267209.8, 846954.4,
    ),
    (
        (0.25, 0.82, 1.25), (0.50, 0.75, 1.91), (0.75, 0.81, 1.74), (0.90, 0.50, 2.93),
        (0.95, 0.18, 6.64), (0.99, 0.04, 10.14), (0.999, 0.0, 26.91), (1.0, 0.0, 133.88),
    ),
    5.5,
)  # fmt: skip
SPOT_OTHER_SIZES = SizeTable(
    (
        1.0, 5.0, 5.4, 5.4, 7.8, 13.1, 23.3, 31.6, 69.5, 213.4, 579.2, 1500.4, 2710.5, 4732.6,
        8582.0, 16983.9, 31973.0, 47014.6, 111217.4, 1341814.9,
    ),
    (
        (0.25, 0.72, 1.40), (0.50, 0.71, 2.09), (0.75, 0.60, 2.84), (0.90, 0.42, 3.04),
        (0.95, 0.12, 5.58), (0.99, 0.05, 9.69), (0.999, 0.04, 17.40), (1.0, 0.0, 67.60),
    ),
    5.4,
)  # fmt: skip
USDM_SIZES = SizeTable(
    (
        63.9, 63.9, 127.7, 127.8, 127.9, 255.4, 447.7, 958.0, 1598.7, 3068.8, 5938.5, 12773.0,
        19260.2, 33283.4, 71380.7, 154484.2, 353150.5, 535970.2, 1237934.4, 1665586.9,
    ),
    (
        (0.25, 0.96, 1.04), (0.50, 0.80, 1.47), (0.75, 0.70, 1.93), (0.90, 0.44, 3.51),
        (0.95, 0.18, 6.83), (0.99, 0.10, 13.07), (0.999, 0.03, 41.73), (1.0, 0.0, 62.25),
    ),
    127.7,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArrivalShape:
    """A Hawkes process of clusters with two memories.

    A cluster is an order and its followers within a few ms (geometric, `follow` a head);
    `excite` is the expected number of clusters that one cluster causes through each memory.
    Fitted by hand to the windowed variances above at the captures' 10 orders/s.
    """

    follow: float
    follow_gap_ms: float
    excite: tuple[float, float]
    memory_s: tuple[float, float]


ARRIVALS = ArrivalShape(follow=0.2, follow_gap_ms=2.0, excite=(0.47, 0.32), memory_s=(0.04, 1.5))
