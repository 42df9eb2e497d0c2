"""Candle files: parquet or csv.gz with date, open, high, low, close, volume, and taker_buy_volume
where the source has it.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.intervals import Interval

__all__ = ["CandleFileError", "read_bars"]

COLUMNS = ("date", "open", "high", "low", "close", "volume")
TAKER = "taker_buy_volume"


class CandleFileError(ValueError):
    """A file that does not hold candles as they are expected."""


def read_bars(paths: Sequence[Path], interval: Interval) -> list[Bar]:
    """All candles of the files by time; of the same begin, the last file's counts."""
    found: dict[int, Bar] = {}
    for path in paths:
        for number, row in enumerate(_rows(path), 1):
            bar = _bar(row, interval, f"{path.name} row {number}")
            found[bar.ts_open] = bar
    if not found:
        raise CandleFileError("expected candles, the files hold none")
    return [found[ts] for ts in sorted(found)]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        if path.name.endswith(".parquet"):
            yield from _parquet(path)
            return
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from csv.DictReader(lines)
    except (OSError, EOFError, UnicodeError, csv.Error) as error:
        raise CandleFileError(f"expected candles in {path}, {error}") from error


def _parquet(path: Path) -> Iterable[dict[str, Any]]:
    try:
        import polars as pl
    except ImportError:
        raise CandleFileError("expected the package polars, which reads parquet files") from None
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise CandleFileError(f"expected candles in {path}, {error}") from error
    names = [name for name in (*COLUMNS, TAKER) if name in frame.columns]
    return frame.select(names).iter_rows(named=True)


def _bar(row: dict[str, Any], interval: Interval, place: str) -> Bar:
    lacking = [name for name in COLUMNS if row.get(name) in (None, "")]
    if lacking:
        raise CandleFileError(f"expected {', '.join(lacking)} in {place}")
    try:
        ts_open = _time(row["date"])
        opened, high, low, close, volume = (float(row[name]) for name in COLUMNS[1:])
        taker = row.get(TAKER)
        bought = -1.0 if taker in (None, "") else float(taker)
    except ValueError as error:
        raise CandleFileError(f"expected numbers and a time in {place}, {error}") from error
    if ts_open % interval.length_ns:
        raise CandleFileError(f"expected a whole {interval.name} in {place}, was {row['date']}")
    prices_fit = 0 < low <= min(opened, close) and max(opened, close) <= high < math.inf
    if not prices_fit or not 0 <= volume < math.inf or not bought <= volume:
        raise CandleFileError(f"expected 0 < low <= open, close <= high in {place}, was {row}")
    ends = ts_open + interval.length_ns
    return Bar(
        ts_open, ends, opened, high, low, close, volume, volume * close, bought,
        int(volume > 0), 1.0, 0,
    )  # fmt: skip


def _time(value: Any) -> int:
    when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return int(when.timestamp()) * 1_000_000_000
