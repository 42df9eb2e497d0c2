"""The two models behind one port."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from teleglas_prediction.domain.bars import Floats
from teleglas_prediction.domain.features import View
from teleglas_prediction.domain.horizons import MAX_BARS, MIN_BARS, SETTLED_BARS, Horizon
from teleglas_prediction.domain.trees import Trees

__all__ = ["BOOSTED", "RANDOM_WALK", "Boosted", "Model", "Outlook", "RandomWalk"]

RANDOM_WALK = "random-walk"
BOOSTED = "boosted"
COMMON_DAILY = 0.04
"""Standard deviation of a day's log return, before a market has shown its own."""
DAY_NS = 86_400_000_000_000
MAX_SHIFT = 0.5
SCALE_BOUNDS = (0.2, 5.0)
LARGEST = 50.0


class Outlook(NamedTuple):
    """Median and scale of the log return up to the target, one value a window."""

    median: Floats
    scale: Floats


class Model(Protocol):
    """Looks ahead from trailing windows of bars; intervals are made of it by conformal widths."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def needs_bars(self) -> int: ...

    @property
    def has_direction(self) -> bool:
        """Whether its walk-forward showed a median better than the random walk's."""

    def look(self, view: View, horizon: Horizon) -> Outlook: ...


@dataclass(frozen=True, slots=True)
class RandomWalk:
    """The price stays where it is; the width grows with volatility and the root of time.

    Of fewer than SETTLED_BARS bars the variance is in part a common one of crypto markets.
    """

    name: str = RANDOM_WALK
    version: str = "1"
    needs_bars: int = MIN_BARS
    has_direction: bool = False

    def look(self, view: View, horizon: Horizon) -> Outlook:
        known = min(1.0, view.bars / SETTLED_BARS)
        common = COMMON_DAILY**2 * horizon.interval_ns / DAY_NS
        sigma = np.sqrt(known * view.sigma**2 + (1 - known) * common)
        scale = sigma * np.sqrt(horizon.steps)
        return Outlook(np.zeros_like(scale), scale)


@dataclass(frozen=True, slots=True)
class Boosted:
    """Two forests correct the random walk: where the median lies, and how wide the scale is, both
    in units of the random walk's scale, so that one model fits every instrument.
    """

    version: str
    shift: Trees
    spread: Trees
    has_direction: bool = False
    name: str = BOOSTED
    needs_bars: int = field(default=MAX_BARS)

    def look(self, view: View, horizon: Horizon) -> Outlook:
        walk = RandomWalk().look(view, horizon).scale
        moved = np.clip(self.shift.predict(view.rows), -MAX_SHIFT, MAX_SHIFT)
        spread = np.minimum(self.spread.predict(view.rows), LARGEST)
        wide = np.clip(np.exp(spread) / MEAN_ABSOLUTE, *SCALE_BOUNDS)
        return Outlook(moved.reshape(walk.shape) * walk, wide.reshape(walk.shape) * walk)


MEAN_ABSOLUTE = 0.75
"""The spread's forest is fitted to absolute errors; their mean under the prior widths."""
