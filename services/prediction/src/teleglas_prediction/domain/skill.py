"""What a model has shown live, and whether it may name a direction."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ENOUGH", "Direction", "Skill", "Verdict", "direction_of"]

ENOUGH = 100
"""Resolved forecasts before live skill means anything."""
MEMORY = 300
"""Forecasts that the running means look back on, roughly."""
NOISE = 0.05
"""A median nearer than this many scales names no direction."""


@dataclass(frozen=True, slots=True)
class Skill:
    """Running means over the resolved forecasts of one model, horizon and instrument; losses and
    widths in log returns. `walk_` is the random walk over the same forecasts.
    """

    resolved: int = 0
    covered: float = 0.0
    """Share inside the widest interval."""
    width: float = 0.0
    """Of the widest interval."""
    loss: float = 0.0
    walk_loss: float = 0.0
    error: float = 0.0
    """Absolute error of the median."""
    walk_error: float = 0.0

    def after(self, values: tuple[float, float, float, float, float, float]) -> Skill:
        """The means with one more forecast, its values in the order of the fields."""
        share = 1 / min(self.resolved + 1, MEMORY)
        known = (
            self.covered, self.width, self.loss, self.walk_loss, self.error, self.walk_error
        )  # fmt: skip
        moved = [old + share * (new - old) for old, new in zip(known, values, strict=True)]
        return Skill(self.resolved + 1, *moved)

    @property
    def is_known(self) -> bool:
        return self.resolved >= ENOUGH

    @property
    def over_walk(self) -> float:
        """1 less the ratio of the pinball losses: above 0 is better than the random walk."""
        return 1 - self.loss / self.walk_loss if self.walk_loss > 0 else 0.0

    @property
    def median_over_walk(self) -> float:
        """The same of the median alone: what a direction stands on."""
        return 1 - self.error / self.walk_error if self.walk_error > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Direction:
    """Up (1), down (-1) or withheld (0) with the reason."""

    sign: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What walk-forward said of a model."""

    is_walk: bool
    has_direction: bool


def direction_of(verdict: Verdict, skill: Skill, median: float, scale: float) -> Direction:
    """Named only where the median beat the random walk's, in walk-forward and live."""
    if verdict.is_walk:
        return Direction(0, "a random walk has no direction")
    if not verdict.has_direction:
        return Direction(0, "no skill over the random walk in walk-forward")
    if not skill.is_known:
        return Direction(0, f"live skill not known: {skill.resolved} of {ENOUGH} resolved")
    if skill.median_over_walk <= 0:
        return Direction(0, "no skill over the random walk in its last forecasts here")
    if abs(median) < NOISE * scale:
        return Direction(0, "the expected move is within the noise")
    return Direction(1 if median > 0 else -1)
