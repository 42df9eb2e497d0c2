"""Walk-forward folds: always trained on the past, purged and embargoed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from teleglas_prediction.training.candle_files import Ints

__all__ = ["Fold", "folds_of"]

FIRST_SHARE = 0.25
"""Of the time, before the first forecast that is tested."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Positions of examples."""

    train: Ints
    test: Ints


def folds_of(ts_event: Ints, horizon_ns: int, count: int) -> list[Fold]:
    """`count` test blocks of equal time, each trained on everything before it.

    Purged: no training target lies in the test block. Embargoed: a gap of one more horizon is left
    before it, because neighbours of the last targets share most of their outcome with the first
    tests.
    """
    begin, end = int(ts_event.min()), int(ts_event.max()) + 1
    first = begin + round((end - begin) * FIRST_SHARE)
    borders = np.linspace(first, end, count + 1).astype(np.int64)
    found = []
    for low, high in pairwise(borders.tolist()):
        train = np.flatnonzero(ts_event + 2 * horizon_ns <= low)
        test = np.flatnonzero((ts_event >= low) & (ts_event < high))
        if len(train) and len(test):
            found.append(Fold(train, test))
    return found
