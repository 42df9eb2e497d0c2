"""Two checks that nothing knows the future: of the features, and of the folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teleglas_prediction.domain.horizons import MAX_BARS
from teleglas_prediction.training.candle_files import Bars
from teleglas_prediction.training.examples import Build, Examples, Table, feature_table
from teleglas_prediction.training.folds import Fold

__all__ = ["LeakError", "check_folds", "leaking_features", "planted"]

SAMPLES = 40


class LeakError(AssertionError):
    """Something here knows what was not known then."""


def leaking_features(bars: Bars, build: Build) -> list[str]:
    """Names of the features whose value at a bar changes when the bars behind it are taken away."""
    whole = build(bars)
    leaking: set[str] = set()
    for end in np.linspace(MAX_BARS, len(bars) - 1, SAMPLES).astype(int):
        known = build(bars.until(int(end))).matrix[-1]
        then = whole.matrix[int(end) - MAX_BARS]
        wrong = ~np.isclose(known, then, rtol=1e-9, atol=1e-12, equal_nan=False)
        leaking |= {name for name, is_wrong in zip(whole.names, wrong, strict=True) if is_wrong}
    return sorted(leaking)


def check_folds(folds: Sequence[Fold], examples: Examples, horizon_ns: int) -> None:
    """Raises LeakError where a training target lies less than an embargo of one horizon before the
    first forecast that is tested.
    """
    for fold in folds:
        first = int(examples.ts_event[fold.test].min())
        last = int(examples.ts_event[fold.train].max()) + horizon_ns
        if last + horizon_ns > first:
            raise LeakError(
                f"expected training targets up to {first - horizon_ns}, one reaches {last}"
            )


def planted(bars: Bars) -> Table:
    """The features and one more that looks a bar ahead: what the checks must find."""
    table = feature_table(bars)
    logs = np.log(bars.close)
    ahead = np.append(np.diff(logs), 0.0)[MAX_BARS - 1 :]
    matrix = np.column_stack([table.matrix, ahead / table.sigma])
    return Table((*table.names, "return_ahead"), matrix, table.sigma)
