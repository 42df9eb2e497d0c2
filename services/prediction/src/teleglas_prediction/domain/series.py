"""One instrument at one interval: its bars, its forecasts, and what became of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from teleglas_prediction.domain.bars import Bar, Window
from teleglas_prediction.domain.conformal import Conformal
from teleglas_prediction.domain.features import View
from teleglas_prediction.domain.horizons import BY_NS, MIN_BARS, SETTLED_BARS, Horizon, horizons_on
from teleglas_prediction.domain.models import RANDOM_WALK, Model
from teleglas_prediction.domain.scoring import pinball, quantiles_of, rounded
from teleglas_prediction.domain.skill import Direction, Skill, Verdict, direction_of

__all__ = ["Entry", "Key", "Lineup", "Outcome", "Series", "Standing", "Step"]

Key = tuple[int, str, str]
"""Horizon in ns, model, model version."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """The models of one horizon, the random walk first; the champion's forecasts are published."""

    models: tuple[Model, ...]
    champion: str = RANDOM_WALK


@dataclass(frozen=True, slots=True)
class Entry:
    """A forecast in the ledger. `median`, `scale` and `halves` are log returns from `reference`."""

    horizon_ns: int
    model: str
    version: str
    ts_event: int
    reference: float
    median: float
    scale: float
    halves: tuple[float, ...]
    direction: Direction
    completeness: float
    is_champion: bool
    bars: int
    """Closed bars that it was made of."""

    @property
    def key(self) -> Key:
        return self.horizon_ns, self.model, self.version

    @property
    def ts_target(self) -> int:
        return self.ts_event + self.horizon_ns

    def price(self, log_return: float) -> float:
        """The price that a log return leads to."""
        return rounded(self.reference * math.exp(min(max(log_return, -50.0), 50.0)))

    @property
    def quantiles(self) -> tuple[float, ...]:
        return quantiles_of(self.median, self.halves)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a forecast; only its time where the target lay in a hole of the bars."""

    entry: Entry
    ts_resolved: int
    price: float | None = None
    covered: tuple[bool, ...] = ()
    loss: float | None = None
    walk_loss: float | None = None


class Standing(NamedTuple):
    """Calibration and skill of one model at one horizon."""

    conformal: Conformal = Conformal()
    skill: Skill = Skill()


class Step(NamedTuple):
    """What one bar brought: forecasts resolved, forecasts issued, both in a fixed order."""

    resolved: Sequence[Outcome] = ()
    issued: Sequence[Entry] = ()


@dataclass(slots=True)
class Series:
    """A pure machine: the same bars in the same order give the same forecasts, to the last bit."""

    interval: str
    window: Window
    open: list[Entry] = field(default_factory=list)
    standings: dict[Key, Standing] = field(default_factory=dict)

    def take(self, bar: Bar, lineups: Mapping[int, Lineup]) -> Step:
        """Resolve what the bar decides, then look ahead from it; nothing for a known bar."""
        if not self.window.take(bar):
            return Step()
        resolved = self._resolve()
        view = View(self.window.columns())
        issued = [
            entry
            for horizon in horizons_on(self.interval)
            for entry in self._issue(horizon, lineups[horizon.length_ns], view)
        ]
        self.open += issued
        return Step(resolved, issued)

    def latest(self, horizon_ns: int, model: str) -> Entry | None:
        """The forecast that stands on the newest bar; no model named: the champion's."""
        for entry in reversed(self.open):
            is_asked = entry.model == model if model else entry.is_champion
            newest = entry.ts_event == self.window.ts_close
            if newest and is_asked and entry.horizon_ns == horizon_ns:
                return entry
        return None

    @property
    def warm_up(self) -> tuple[int, int]:
        """Bars that are there, and that the first forecast needs."""
        return len(self.window), MIN_BARS

    def _issue(self, horizon: Horizon, lineup: Lineup, view: View) -> list[Entry]:
        ready = [model for model in lineup.models if len(self.window) >= model.needs_bars]
        if not ready:
            return []
        champion = self._champion(horizon, lineup)
        entries = []
        for model in ready:
            outlook = model.look(view, horizon)
            median, scale = float(outlook.median), float(outlook.scale)
            standing = self.standings.get((horizon.length_ns, model.name, model.version))
            conformal, skill = standing or Standing()
            verdict = Verdict(model.name == RANDOM_WALK, model.has_direction)
            entries.append(
                Entry(
                    horizon.length_ns,
                    model.name,
                    model.version,
                    self.window.ts_close,
                    self.window.close,
                    median,
                    scale,
                    tuple(width * scale for width in conformal.widths),
                    direction_of(verdict, skill, median, scale),
                    rounded(self.window.completeness),
                    model.name == champion,
                    view.bars,
                )
            )
        return entries

    def _champion(self, horizon: Horizon, lineup: Lineup) -> str:
        """Who is it by walk-forward, unless it has not the bars yet or fell behind the random walk
        in its last forecasts here.
        """
        for model in lineup.models:
            if model.name == lineup.champion and len(self.window) >= model.needs_bars:
                standing = self.standings.get((horizon.length_ns, model.name, model.version))
                if standing and standing.skill.is_known and standing.skill.over_walk <= 0:
                    break
                return model.name
        return RANDOM_WALK

    def _resolve(self) -> list[Outcome]:
        now = self.window.ts_close
        due = [entry for entry in self.open if entry.ts_target <= now]
        if not due:
            return []
        self.open = [entry for entry in self.open if entry.ts_target > now]
        walks = {
            (entry.horizon_ns, entry.ts_event): self._losses(entry)
            for entry in due
            if entry.model == RANDOM_WALK and entry.ts_target == now
        }
        return [self._outcome(entry, walks) for entry in due]

    def _losses(self, entry: Entry) -> tuple[float, float]:
        """Pinball loss and the absolute error of the median."""
        moved = math.log(self.window.close / entry.reference)
        return pinball(entry.quantiles, moved), abs(moved - entry.median)

    def _outcome(
        self, entry: Entry, walks: Mapping[tuple[int, int], tuple[float, float]]
    ) -> Outcome:
        now = self.window.ts_close
        if entry.ts_target != now:
            return Outcome(entry, now)
        loss, error = self._losses(entry)
        walk_loss, walk_error = walks[entry.horizon_ns, entry.ts_event]
        covered = tuple(error <= half for half in entry.halves)
        conformal, skill = self.standings.get(entry.key, Standing())
        values = (float(covered[-1]), 2 * entry.halves[-1], loss, walk_loss, error, walk_error)
        if entry.bars >= SETTLED_BARS:
            conformal = conformal.after(error / entry.scale, BY_NS[entry.horizon_ns].steps)
        self.standings[entry.key] = Standing(conformal, skill.after(values))
        return Outcome(
            entry, now, rounded(self.window.close), covered, rounded(loss), rounded(walk_loss)
        )
