"""Adaptive conformal intervals, one step an outcome.

Each interval's half width, in units of the model's own scale, is a quantile tracked on line: after
an outcome it grows by a step where the outcome fell outside, and shrinks where inside, so that the
share outside tends to what was asked for whatever the market does (the quantile tracker of
Angelopoulos, Candès and Tibshirani, "Conformal PID control for time series prediction", 2023, which
is Gibbs and Candès' "Adaptive conformal inference under distribution shift", 2021, on the quantile
itself). The step falls with time to a floor (Angelopoulos, Barber and Bates, "Online conformal
prediction with decaying step sizes", 2024), so that it settles and still follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["COVERAGES", "PRIOR", "QUANTILES", "Conformal"]

COVERAGES = (0.5, 0.8, 0.9)
"""The intervals of every forecast; 0.9 is the one that coverage is judged by."""
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""What these intervals and the median are, as quantiles: pinball loss is the mean over them."""
PRIOR = (0.62, 1.35, 1.9)
"""Half widths before any outcome; a normal distribution's are 0.67, 1.28 and 1.64."""

FIRST_STEP = 0.12
LAST_STEP = 0.02
SETTLES_OVER = 100
SMALLEST = 0.01


@dataclass(frozen=True, slots=True)
class Conformal:
    """Half widths of COVERAGES in units of a model's scale, after `resolved` outcomes."""

    widths: tuple[float, ...] = PRIOR
    resolved: int = 0

    def after(self, score: float, overlap: int) -> Conformal:
        """The state after an outcome that lay `score` scales from the median. `overlap` forecasts
        are open at a time and share most of their outcome, so each moves the widths less.
        """
        step = max(LAST_STEP, FIRST_STEP / (1 + self.resolved / SETTLES_OVER) ** 0.6)
        step /= math.sqrt(overlap)
        moved = [
            width + step * width_unit * ((score > width) - (1 - coverage))
            for width, coverage, width_unit in zip(self.widths, COVERAGES, PRIOR, strict=True)
        ]
        return Conformal(_ordered(moved), self.resolved + 1)


def _ordered(widths: Sequence[float]) -> tuple[float, ...]:
    """Never below the narrower interval's, never nothing."""
    found: list[float] = []
    least = SMALLEST
    for width in widths:
        least = max(least, width)
        found.append(least)
    return tuple(found)
