"""Candle files as the windows that models see."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from teleglas_prediction.domain.bars import MAX_FILLED, Floats

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Bars", "CandleFileError", "Ints", "read_bars", "sha256_of"]

Ints = npt.NDArray[np.int64]


class CandleFileError(ValueError):
    """A file is not one of candles."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Contiguous closed bars of one instrument, oldest first; holes are filled as the service fills
    them, and a longer one begins another `Bars`.
    """

    name: str
    interval_ns: int
    ts_close: Ints
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    completeness: Floats

    def __len__(self) -> int:
        return len(self.ts_close)

    def until(self, count: int) -> Bars:
        """The first so many bars: all that anybody could know then."""
        return Bars(
            self.name,
            self.interval_ns,
            self.ts_close[:count],
            self.high[:count],
            self.low[:count],
            self.close[:count],
            self.volume[:count],
            self.completeness[:count],
        )


def sha256_of(paths: Sequence[Path]) -> str:
    """One hash over the files' own, whatever their order."""
    each = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    return hashlib.sha256("".join(each).encode()).hexdigest()


def read_bars(path: Path) -> list[Bars]:
    """Parquet or CSV (also gzipped) with date, open, high, low, close and volume, one row a bar.

    The interval is the most frequent distance of two rows. Raises CandleFileError.
    """
    import polars as pl

    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            frame = pl.read_csv(path, try_parse_dates=True)
        ts = frame["date"].cast(pl.Datetime("ns")).dt.epoch("ns").to_numpy().astype(np.int64)
        values = [_floats(frame, name) for name in ("high", "low", "close", "volume")]
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CandleFileError(f"expected candles in {path.name}: {error}") from error
    order = np.argsort(ts, kind="stable")
    ts, rows = ts[order], np.stack(values, axis=1)[order]
    if len(ts) < 2 or (np.diff(ts) <= 0).any():
        raise CandleFileError(f"expected rows of different times in {path.name}")
    if not np.isfinite(rows).all() or (rows[:, :3] <= 0).any() or (rows[:, 3] < 0).any():
        raise CandleFileError(f"expected finite prices above 0 in {path.name}")
    steps, counts = np.unique(np.diff(ts), return_counts=True)
    interval_ns = int(steps[counts.argmax()])
    parts = np.split(np.arange(len(ts)), np.flatnonzero(np.diff(ts) > _longest(interval_ns)) + 1)
    name = path.name.partition(".")[0]
    return [_filled(name, interval_ns, ts[part], rows[part]) for part in parts]


def _longest(interval_ns: int) -> int:
    """Distance of two bars with a hole between them that is still filled."""
    return interval_ns * (MAX_FILLED + 1)


def _floats(frame: pl.DataFrame, name: str) -> Floats:
    found: Floats = frame[name].to_numpy().astype(np.float64)
    return found


def _filled(name: str, interval_ns: int, ts: Ints, rows: Floats) -> Bars:
    """Missing bars become flat ones of completeness 0."""
    at = (ts - ts[0]) // interval_ns
    count = int(at[-1]) + 1
    source = np.searchsorted(at, np.arange(count), side="right") - 1
    there = np.zeros(count, dtype=bool)
    there[at] = True
    high, low, close, volume = rows[source].T
    return Bars(
        name,
        interval_ns,
        ts[0] + np.arange(1, count + 1) * interval_ns,
        np.where(there, high, close),
        np.where(there, low, close),
        np.ascontiguousarray(close),
        np.where(there, volume, 0.0),
        there.astype(np.float64),
    )
