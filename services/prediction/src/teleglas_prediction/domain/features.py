"""What models see: pure functions of trailing windows of closed bars.

The same code makes one row for a live forecast and a matrix for training and walk-forward: windows
stand along the last axis. A value at time t depends on the window that ends at t and nothing else.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from teleglas_prediction.domain.bars import Columns, Floats

__all__ = ["FEATURES", "SIGMA_FLOOR", "View", "features", "volatility"]

HALF_LIVES = (8, 32, 96)
"""In bars: a short, a middle and a long memory, mixed as in Corsi's heterogeneous autoregressive
model (2009)."""
SIGMA_FLOOR = 1e-5
"""Log return a bar: a market that does not move still has a width."""
TINY = 1e-12
DAY_NS = 86_400_000_000_000
SHORT_HISTORY = 10.0

RETURNS = (1, 3, 12, 48)
FEATURES: tuple[str, ...] = (
    *(f"return_{bars}" for bars in RETURNS),
    "volatility_8_32",
    "volatility_32_96",
    "volatility",
    "range_1",
    "range_12",
    "range_48",
    "place_48",
    "volume_1_48",
    "volume_12_96",
    "absolute_1",
    "hour_sin",
    "hour_cos",
    "weekend",
)
"""Names in the order of the matrix; returns and ranges are in units of the volatility."""


class View:
    """Windows with what models make of them, made once however many look."""

    def __init__(self, window: Columns) -> None:
        self._window = window

    @property
    def bars(self) -> int:
        return int(self._window.close.shape[-1])

    @cached_property
    def sigma(self) -> Floats:
        return volatility(self._window)

    @cached_property
    def rows(self) -> Floats:
        return features(self._window)


def volatility(window: Columns) -> Floats:
    """Standard deviation of a bar's log return, from however many bars there are (2 or more).

    A short history widens it: the square root of 1 + 10 / bars.
    """
    squares = np.diff(np.log(window.close), axis=-1) ** 2
    variance = np.mean([_decayed(squares, half) for half in HALF_LIVES], axis=0)
    widened = variance * (1 + SHORT_HISTORY / window.close.shape[-1])
    found: Floats = np.maximum(np.sqrt(widened), SIGMA_FLOOR)
    return found


def features(window: Columns) -> Floats:
    """One row of FEATURES a window, of at least 97 bars; finite for every possible bar."""
    logs = np.log(window.close)
    steps = np.diff(logs, axis=-1)
    sigma = volatility(window)
    short, middle, long = (np.sqrt(_decayed(steps**2, half)) + SIGMA_FLOOR for half in HALF_LIVES)
    spans = np.log(window.high / window.low)
    columns = [(logs[..., -1] - logs[..., -1 - bars]) / (sigma * np.sqrt(bars)) for bars in RETURNS]
    columns += [np.log(short / middle), np.log(middle / long), np.log(sigma)]
    columns += [spans[..., -bars:].mean(axis=-1) / sigma for bars in (1, 12, 48)]
    top, bottom = window.high[..., -48:].max(axis=-1), window.low[..., -48:].min(axis=-1)
    columns.append((window.close[..., -1] - bottom) / (top - bottom + TINY * top) - 0.5)
    columns += [_ratio(window.volume, 1, 48), _ratio(window.volume, 12, 96)]
    columns.append(np.abs(steps[..., -1]) / sigma)
    angle = 2 * np.pi * (window.ts_close % DAY_NS) / DAY_NS
    weekday = (window.ts_close // DAY_NS + 3) % 7
    columns += [np.sin(angle), np.cos(angle), np.where(weekday >= 5, 1.0, 0.0)]
    matrix: Floats = np.clip(np.stack(columns, axis=-1), -50.0, 50.0)
    return matrix


def _decayed(values: Floats, half_life: int) -> Floats:
    """Mean over the last axis, older values weighing less."""
    weights = 0.5 ** (np.arange(values.shape[-1] - 1, -1, -1) / half_life)
    found: Floats = (values * (weights / weights.sum())).sum(axis=-1)
    return found


def _ratio(values: Floats, short: int, long: int) -> Floats:
    """Log of a short mean over a long one; 0 where nothing traded."""
    near, far = values[..., -short:].mean(axis=-1), values[..., -long:].mean(axis=-1)
    found: Floats = np.log((near + TINY + far * 1e-3) / (far + TINY + far * 1e-3))
    return found
