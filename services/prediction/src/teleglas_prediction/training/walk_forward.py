"""How the models would have done: out of sample, calibrated on line, scored like the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from teleglas_prediction.domain.bars import Floats
from teleglas_prediction.domain.conformal import QUANTILES, Conformal
from teleglas_prediction.domain.horizons import Horizon
from teleglas_prediction.domain.models import MAX_SHIFT, MEAN_ABSOLUTE, SCALE_BOUNDS
from teleglas_prediction.domain.trees import Trees
from teleglas_prediction.training.boosting import Forests, fit, packed
from teleglas_prediction.training.candle_files import Ints
from teleglas_prediction.training.examples import Examples
from teleglas_prediction.training.folds import Fold

__all__ = ["Scored", "blocked_t", "boosted_outlook", "calibrated", "skill", "unpacked"]

DAY_NS = 86_400 * 10**9
ENOUGH_ROWS = 40_000
"""Of neighbouring rows, which overlap, more teach a forest little and cost time."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Forecasts of one model and what became of them, by position in the examples."""

    at: Ints
    covered: Floats
    """Whether the 90 % interval held."""
    width: Floats
    loss: Floats
    error: Floats


def unpacked(forests: Forests, columns: int) -> tuple[Trees, Trees]:
    """The forests as the service evaluates them."""
    shift, spread = (packed(one) for one in (forests.shift, forests.spread))
    made = [
        Trees.of(one.roots, one.feature, one.threshold, one.left, one.right, features=columns)
        for one in (shift, spread)
    ]
    return made[0], made[1]


def boosted_outlook(
    examples: Examples, folds: Sequence[Fold], horizon: Horizon
) -> tuple[Ints, Floats, Floats]:
    """Positions, medians and scales of every tested forecast, each by forests of its past."""
    tested, medians, scales = [], [], []
    for fold in folds:
        train = fold.train[:: max(1, horizon.steps // 4, len(fold.train) // ENOUGH_ROWS)]
        forests = fit(examples.matrix[train], examples.moved[train] / examples.scale[train])
        shift, spread = unpacked(forests, examples.matrix.shape[1])
        rows, walk = examples.matrix[fold.test], examples.scale[fold.test]
        tested.append(fold.test)
        medians.append(np.clip(shift.predict(rows), -MAX_SHIFT, MAX_SHIFT) * walk)
        wide = np.clip(np.exp(spread.predict(rows)) / MEAN_ABSOLUTE, *SCALE_BOUNDS)
        scales.append(wide * walk)
    return np.concatenate(tested), np.concatenate(medians), np.concatenate(scales)


def calibrated(
    examples: Examples, at: Ints, median: Floats, scale: Floats, horizon: Horizon
) -> Scored:
    """Intervals by conformal widths that know outcomes only once their time has come, scored.

    Each instrument (`part`) has widths of its own, as in the service.
    """
    halves = np.empty((len(at), 3))
    error = np.abs(examples.moved[at] - median)
    scores = error / scale
    for part in np.unique(examples.part[at]):
        mine = np.flatnonzero(examples.part[at] == part)
        mine = mine[np.argsort(examples.ts_event[at[mine]], kind="stable")]
        halves[mine] = _widths(examples.ts_event[at[mine]], scores[mine], horizon)
    halves *= scale[:, None]
    moved = examples.moved[at]
    levels = np.array(QUANTILES)
    lower, upper = median[:, None] - halves[:, ::-1], median[:, None] + halves
    miss = moved[:, None] - np.concatenate([lower, median[:, None], upper], axis=1)
    loss = np.maximum(levels * miss, (levels - 1) * miss).mean(axis=1)
    covered = (error <= halves[:, -1]).astype(np.float64)
    return Scored(at, covered, 2 * halves[:, -1], loss, error)


def skill(loss: Floats, walk_loss: Floats) -> float:
    """1 less the ratio of mean losses: above 0 is better than the random walk."""
    return float(1 - loss.mean() / walk_loss.mean())


def blocked_t(ts_event: Ints, gain: Floats, horizon_ns: int) -> float:
    """How many standard errors the mean gain lies above 0, by means of blocks of time that are
    longer than the overlap of forecasts.
    """
    block_ns = max(DAY_NS, 4 * horizon_ns)
    _, index = np.unique(ts_event // block_ns, return_inverse=True)
    means = np.bincount(index, gain) / np.bincount(index)
    if len(means) < 3:
        return 0.0
    error = means.std(ddof=1) / np.sqrt(len(means))
    return float(means.mean() / error) if error > 0 else 0.0


def _widths(ts_event: Ints, scores: Floats, horizon: Horizon) -> Floats:
    known = 0
    state = Conformal()
    found = np.empty((len(scores), 3))
    targets = ts_event + horizon.length_ns
    for at, now in enumerate(ts_event.tolist()):
        while targets[known] <= now:
            state = state.after(float(scores[known]), horizon.steps)
            known += 1
        found[at] = state.widths
    return found
