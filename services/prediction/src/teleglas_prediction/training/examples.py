"""What a model learns from: features at a closed bar, and what the price did up to the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from teleglas_prediction.domain.bars import Columns, Floats
from teleglas_prediction.domain.features import FEATURES, features, volatility
from teleglas_prediction.domain.horizons import MAX_BARS, Horizon
from teleglas_prediction.training.candle_files import Bars, Ints

__all__ = ["Build", "Examples", "Table", "examples_of", "feature_table", "joined"]

CHUNK = 4_096


class Build(Protocol):
    """Makes a table of bars, a row for each that ends a full window."""

    __name__: str

    def __call__(self, bars: Bars) -> Table: ...


@dataclass(frozen=True, slots=True)
class Table:
    """One row for each bar that ends a full window; `names` are those of the columns."""

    names: tuple[str, ...]
    matrix: Floats
    sigma: Floats


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows in time order of one instrument, or of several one after the other (`part`).

    `moved` is the log return from the bar to the target, `scale` the random walk's.
    """

    ts_event: Ints
    matrix: Floats
    scale: Floats
    moved: Floats
    part: Ints

    def __len__(self) -> int:
        return len(self.ts_event)


def feature_table(bars: Bars) -> Table:
    """The service's own functions over every full window of the bars."""
    rows, sigmas = [], []
    columns = [bars.high, bars.low, bars.close, bars.volume, bars.completeness]
    views = [sliding_window_view(column, MAX_BARS) for column in columns]
    ends = bars.ts_close[MAX_BARS - 1 :]
    for begin in range(0, len(ends), CHUNK):
        part = slice(begin, begin + CHUNK)
        high, low, close, volume, completeness = (view[part] for view in views)
        window = Columns(high, low, close, volume, completeness, ends[part])
        rows.append(features(window))
        sigmas.append(volatility(window))
    return Table(FEATURES, np.concatenate(rows), np.concatenate(sigmas))


def examples_of(
    bars: Sequence[Bars], horizon: Horizon, part: int = 0, build: Build = feature_table
) -> Examples:
    """The examples of one instrument; a target beyond a long hole gives none."""
    found = [
        _examples(one, horizon, part, build) for one in bars if len(one) > MAX_BARS + horizon.steps
    ]
    return joined(found)


def joined(every: Sequence[Examples]) -> Examples:
    """One after the other."""
    if not every:
        raise ValueError(f"expected more than {MAX_BARS} bars and a horizon in a row, found none")
    return Examples(
        np.concatenate([one.ts_event for one in every]),
        np.concatenate([one.matrix for one in every]),
        np.concatenate([one.scale for one in every]),
        np.concatenate([one.moved for one in every]),
        np.concatenate([one.part for one in every]),
    )


def _examples(bars: Bars, horizon: Horizon, part: int, build: Build) -> Examples:
    table = build(bars)
    logs = np.log(bars.close)
    count = len(bars) - MAX_BARS + 1 - horizon.steps
    moved = logs[MAX_BARS - 1 + horizon.steps :] - logs[MAX_BARS - 1 : -horizon.steps]
    return Examples(
        bars.ts_close[MAX_BARS - 1 : -horizon.steps],
        table.matrix[:count],
        table.sigma[:count] * np.sqrt(horizon.steps),
        moved,
        np.full(count, part),
    )
