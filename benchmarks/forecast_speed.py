"""From a closed candle to a forecast, warm: decode, features, both models, intervals, message.

One call takes a candle's message and comes back with what goes to the topic and the ledger, for the
horizons of 5 minute bars (two a candle), with a random walk and a boosted model in each. No broker
and no database are in it; the state's bytes for a checkpoint are timed beside it. The median is
judged: the rest is what else the machine does.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from teleglas.market.v1.candle_pb2 import Candle
from teleglas_prediction.adapters.messages import bar_of, forecast_message
from teleglas_prediction.adapters.registry import Body, load_registry, save_model
from teleglas_prediction.domain.bars import Window
from teleglas_prediction.domain.features import FEATURES
from teleglas_prediction.domain.horizons import INTERVALS_NS, MAX_BARS, horizons_on
from teleglas_prediction.domain.series import Series
from teleglas_prediction.domain.state import dump_series
from teleglas_prediction.lineups import Lineups

TARGET_MS = 5.0
INTERVAL = "5m"
CANDLES = 3_000


def trained() -> Lineups:
    """Models of full size, fitted to noise: speed does not ask what they know."""
    from teleglas_prediction.training.boosting import fit, packed

    source = np.random.default_rng(1)
    forests = fit(source.normal(size=(20_000, len(FEATURES))), source.standard_t(4, size=20_000))
    with tempfile.TemporaryDirectory() as folder:
        for horizon in horizons_on(INTERVAL):
            body = Body(
                "boosted",
                horizon.length_ns,
                INTERVAL,
                list(FEATURES),
                1,
                2,
                "0" * 64,
                {},
                packed(forests.shift),
                packed(forests.spread),
            )
            save_model(Path(folder), body)
        return load_registry(Path(folder))


def candles() -> list[bytes]:
    source, price, found = random.Random(1), 5e6, []
    length_ns = INTERVALS_NS[INTERVAL]
    for at in range(1_000, 1_000 + CANDLES):
        price *= math.exp(source.gauss(0, 1e-3))
        close = round(price)
        candle = Candle(
            venue="composite",
            instrument="BTC-USDT",
            interval=INTERVAL,
            ts_open=at * length_ns,
            ts_close=(at + 1) * length_ns,
            price_exponent=-2,
            size_exponent=-8,
            open=close,
            high=close + 50,
            low=close - 50,
            close=close,
            volume=10**8,
            is_closed=True,
            completeness=1.0,
        )
        found.append(candle.SerializeToString())
    return found


def main() -> int:
    lineups = trained()
    series = Series(INTERVAL, Window.empty(INTERVALS_NS[INTERVAL]))
    spent_ms, forecasts = [], 0
    for at, message in enumerate(candles()):
        began_s = time.perf_counter()
        step = series.take(bar_of(Candle.FromString(message)), lineups.by_horizon)
        sent = [
            forecast_message("BTC-USDT", entry).SerializeToString(deterministic=True)
            for entry in step.issued
        ]
        took_ms = (time.perf_counter() - began_s) * 1e3
        if at > 2 * MAX_BARS:
            spent_ms.append(took_ms / len(sent))
            forecasts += len(sent)
    began_s = time.perf_counter()
    state = dump_series(series)
    dump_ms = (time.perf_counter() - began_s) * 1e3
    typical, worst = statistics.median(spent_ms), statistics.quantiles(spent_ms, n=100)[98]
    print(f"{forecasts} forecasts, 2 horizons x 2 models a candle, {MAX_BARS} bars each")
    print(f"a forecast: median {typical:.3f} ms, p99 {worst:.3f} ms (target < {TARGET_MS} ms)")
    print(f"state of a series: {len(state)} bytes in {dump_ms:.3f} ms")
    is_ok = typical < TARGET_MS
    ratio = TARGET_MS / typical
    print(f"forecast-speed ratio={ratio:.2f} target=1.00 {'ok' if is_ok else 'short'}")
    return 0 if is_ok else 1


if __name__ == "__main__":
    sys.exit(main())
