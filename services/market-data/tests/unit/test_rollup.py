"""Candles of others roll up exactly: five minutes into everything longer."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl
import pytest

from teleglas_common.testing.realdata import realdata
from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.intervals import BY_NAME
from teleglas_market_data.domain.rollup import roll_up


@cache
def read(path: Path) -> list[Bar]:
    """A candle file's rows; all but prices (cents) and volume (1e-8) are unknown."""
    rows = pl.read_parquet(path).select("date", "open", "high", "low", "close", "volume")
    bars = []
    for when, first, high, low, last, volume in rows.iter_rows():
        ts = int(when.timestamp()) * 10**9
        bar = Bar(ts, ts, 0, cents(first), cents(high), cents(low), ts + 1, 0, cents(last),
                  round(volume * 1e8), 0, 0, 0, 1)  # fmt: skip
        bars.append(bar)
    return bars


def cents(price: float) -> int:
    return round(price * 100)


@pytest.mark.realdata
@pytest.mark.parametrize("asset", ["BTC", "ETH"])
@pytest.mark.parametrize("name", ["15m", "1h", "4h", "1d"])
def test_five_minutes_of_the_candle_files_roll_up_exactly(asset: str, name: str) -> None:
    """Prices and volumes are equal to the last digit."""
    interval = BY_NAME[name]
    folder = realdata("candles", "2024_2026")
    five = read(folder / f"{asset}_USDT-5m.parquet")
    begin, end = interval.floor(five[0].ts_open - 1) + interval.length_ns, five[-1].ts_open
    rolled = {bar.ts_open: bar for bar in roll_up(five, interval)}
    compared = 0
    for bar in read(folder / f"{asset}_USDT-{name}.parquet"):
        if begin <= bar.ts_open and bar.ts_open + interval.length_ns <= end:
            mine = rolled[bar.ts_open]
            assert (mine.open, mine.high, mine.low, mine.close, mine.volume) == (
                bar.open, bar.high, bar.low, bar.close, bar.volume,
            )  # fmt: skip
            compared += 1
    assert compared > 100
