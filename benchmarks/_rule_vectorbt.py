"""The rule of `backtest` in vectorbt: RSI, MACD and trend of one interval, in the market above a
threshold. Run by the peers' Python on a .npz of closes, highs and lows; prints JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import vectorbt as vbt  # type: ignore[import-not-found]


def run(close: pd.Series, high: pd.Series, low: pd.Series, fees: float) -> float:
    """Total return of the rule, with vectorbt's own indicators and portfolio."""
    rsi = vbt.RSI.run(close, window=14, ewm=True).rsi / 50.0 - 1.0
    atr = vbt.ATR.run(high, low, close, window=14, ewm=True).atr
    macd = vbt.MACD.run(
        close, fast_window=12, slow_window=26, signal_window=9, macd_ewm=True, signal_ewm=True
    )
    histogram = (macd.macd - macd.signal) / atr * 4.0
    fast, slow = vbt.MA.run(close, 10, ewm=True).ma, vbt.MA.run(close, 30, ewm=True).ma
    spread = (fast - slow) / atr * 0.5
    parts = (rsi, histogram / (1.0 + histogram.abs()), spread / (1.0 + spread.abs()))
    score = 40.0 * sum(parts) / 3.0
    portfolio = vbt.Portfolio.from_signals(close, score >= 20.0, score < 10.0, fees=fees)
    return float(portfolio.total_return())


def main() -> None:
    path, fees = sys.argv[1], float(sys.argv[2])
    arrays = np.load(path)
    index = pd.to_datetime(arrays["ts"])
    close, high, low = (pd.Series(arrays[name], index=index) for name in ("close", "high", "low"))
    run(close[:500], high[:500], low[:500], fees)
    began_s = time.process_time()
    total = run(close, high, low, fees)
    seconds = time.process_time() - began_s
    sys.stdout.write(json.dumps({"bars": len(close), "seconds": seconds, "total_return": total}))


main()
