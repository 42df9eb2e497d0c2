"""What a rule over scores would have earned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

__all__ = ["YEAR_NS", "Report", "drawdown", "position_of", "report", "sharpe", "sortino"]

YEAR_NS = 365 * 86_400 * 1_000_000_000
LONG = ("buy", "strong_buy")


@dataclass(frozen=True, slots=True)
class Report:
    """Returns and drawdowns are fractions; Sharpe and Sortino are annual, without a risk-free rate.
    Costs are in all of it but `buy_and_hold`, which pays them once.
    """

    bars: int
    trades: int
    total_return: float
    buy_and_hold: float
    sharpe: float
    sortino: float
    max_drawdown: float
    hold_sharpe: float
    hold_drawdown: float
    cost_basis_points: float


def position_of(stance: str) -> float:
    """The rule: in the market on a bullish stance, else out of it."""
    return 1.0 if stance in LONG else 0.0


def report(
    prices: Sequence[float],
    positions: Sequence[float],
    *,
    interval_ns: int,
    cost_basis_points: float,
) -> Report:
    """`positions[i]` was decided on what was known when `prices[i]` was the last close, is taken at
    that price and held until `prices[i + 1]`; each change pays its share of the cost.
    """
    if len(prices) != len(positions):
        raise ValueError(f"expected as many prices as positions, {len(prices)}, {len(positions)}")
    cost = cost_basis_points / 10_000.0
    earned: list[float] = []
    held: list[float] = []
    trades, before = 0, 0.0
    for at in range(len(prices) - 1):
        move = prices[at + 1] / prices[at] - 1.0
        turn = abs(positions[at] - before)
        trades += turn > 0
        before = positions[at]
        earned.append((1.0 + positions[at] * move) * (1.0 - cost * turn) - 1.0)
        held.append((1.0 + move) * (1.0 - cost) - 1.0 if at == 0 else move)
    year = YEAR_NS / interval_ns
    return Report(
        len(prices),
        trades,
        _total(earned),
        _total(held),
        sharpe(earned, year),
        sortino(earned, year),
        drawdown(earned),
        sharpe(held, year),
        drawdown(held),
        cost_basis_points,
    )


def sharpe(returns: Sequence[float], periods_per_year: float) -> float:
    """Mean over sample standard deviation (n - 1), times the root of the periods in a year."""
    if len(returns) < 2:
        return 0.0
    mean = fsum(returns) / len(returns)
    deviation = math.sqrt(fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1))
    return mean / deviation * math.sqrt(periods_per_year) if deviation > 0 else 0.0


def sortino(returns: Sequence[float], periods_per_year: float) -> float:
    """Mean over the root mean square of the losses, of all periods, annualised likewise."""
    if not returns:
        return 0.0
    mean = fsum(returns) / len(returns)
    downside = math.sqrt(fsum(min(r, 0.0) ** 2 for r in returns) / len(returns))
    return mean / downside * math.sqrt(periods_per_year) if downside > 0 else 0.0


def drawdown(returns: Sequence[float]) -> float:
    """The deepest fall below an earlier high, of the money that began as 1; 0 or below."""
    worth = high = 1.0
    deepest = 0.0
    for one in returns:
        worth *= 1.0 + one
        high = max(high, worth)
        deepest = min(deepest, worth / high - 1.0)
    return deepest


def _total(returns: Sequence[float]) -> float:
    worth = 1.0
    for one in returns:
        worth *= 1.0 + one
    return worth - 1.0
