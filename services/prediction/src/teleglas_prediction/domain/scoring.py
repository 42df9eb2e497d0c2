"""How good a forecast was. All in log returns, so that losses of all prices compare."""

from __future__ import annotations

import math
from collections.abc import Sequence

from teleglas_prediction.domain.conformal import QUANTILES

__all__ = ["pinball", "quantiles_of", "rounded"]


def quantiles_of(median: float, half_widths: Sequence[float]) -> tuple[float, ...]:
    """The values at QUANTILES of a median and its intervals, narrowest first."""
    lower = [median - half for half in reversed(half_widths)]
    return (*lower, median, *(median + half for half in half_widths))


def pinball(quantiles: Sequence[float], outcome: float) -> float:
    """Mean pinball loss over QUANTILES: half of a discrete CRPS, lower is better."""
    total = 0.0
    for level, value in zip(QUANTILES, quantiles, strict=True):
        miss = outcome - value
        total += level * miss if miss >= 0 else (level - 1) * miss
    return total / len(QUANTILES)


def rounded(value: float) -> float:
    """To ten significant digits: what a sum's last bits are differs between processors."""
    if value == 0 or not math.isfinite(value):
        return value
    return float(f"{value:.10g}")
