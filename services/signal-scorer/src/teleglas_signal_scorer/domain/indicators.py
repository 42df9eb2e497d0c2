"""TA-Lib on exactly the last N closed bars, so that no value depends on when a process began."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from teleglas_signal_scorer.domain.bars import Bar

__all__ = ["BARS", "INDICATORS", "Prices", "macd", "rsi", "trend"]

FRAMES = ("polars", "pandas")


def _talib() -> Any:
    """TA-Lib, without the data frames that it would import if they happen to be installed: they
    take more memory than this whole service.
    """
    hidden = [name for name in FRAMES if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import talib
    finally:
        for name in hidden:
            del sys.modules[name]
    return talib


_ta = _talib()

RSI_PERIOD, RSI_BARS = 14, 30
MACD_FAST, MACD_SLOW, MACD_SIGNAL, MACD_BARS = 12, 26, 9, 52
TREND_FAST, TREND_SLOW, TREND_BARS = 10, 30, 45
ATR_PERIOD = 14
BARS = max(RSI_BARS, MACD_BARS, TREND_BARS)
"""The most that any of them reads."""

MACD_SCALE = 4.0
TREND_SCALE = 0.5


class Prices(NamedTuple):
    """Of closed bars, oldest first, as arrays of doubles."""

    closes: Any
    highs: Any
    lows: Any

    @classmethod
    def of(cls, bars: Sequence[Bar]) -> Prices:
        return cls(
            np.array([bar.close for bar in bars]),
            np.array([bar.high for bar in bars]),
            np.array([bar.low for bar in bars]),
        )

    def last(self, count: int) -> Prices:
        """The newest `count`."""
        return Prices(self.closes[-count:], self.highs[-count:], self.lows[-count:])


def rsi(prices: Prices) -> float:
    """Wilder's relative strength, from -1 (0) to 1 (100)."""
    return _known(_ta.RSI(prices.closes, RSI_PERIOD)[-1] / 50.0 - 1.0)


def macd(prices: Prices) -> float:
    """The MACD histogram in average true ranges, squashed into (-1, 1)."""
    histogram = _ta.MACD(prices.closes, MACD_FAST, MACD_SLOW, MACD_SIGNAL)[2][-1]
    return _in_ranges(histogram, prices, MACD_SCALE)


def trend(prices: Prices) -> float:
    """The distance of two exponential means in average true ranges, squashed into (-1, 1)."""
    fast, slow = _ta.EMA(prices.closes, TREND_FAST)[-1], _ta.EMA(prices.closes, TREND_SLOW)[-1]
    return _in_ranges(fast - slow, prices, TREND_SCALE)


INDICATORS: tuple[tuple[str, int, Callable[[Prices], float]], ...] = (
    ("rsi", RSI_BARS, rsi),
    ("macd", MACD_BARS, macd),
    ("trend", TREND_BARS, trend),
)
"""Name, how many bars it is computed on, function."""


def _in_ranges(distance: float, prices: Prices, scale: float) -> float:
    atr = float(_ta.ATR(prices.highs, prices.lows, prices.closes, ATR_PERIOD)[-1])
    if not atr > 0:
        return 0.0
    value = _known(distance / atr * scale)
    return value / (1.0 + abs(value))


def _known(value: float) -> float:
    """As a plain float; TA-Lib says NaN where prices never moved."""
    return float(value) if value == value else 0.0
