"""Bars a second of a core through the live scoring engine, with receipts, and vectorbt on the rule.

Ours is the engine that scores live: a feed, the layers over three intervals, the weighing, and for
each bar the SignalScore message with its receipt, serialised. The peer computes the same indicators
of one interval as whole arrays and fills a portfolio; it has no receipts, no other intervals, and
knows the whole past at once. It is compiled and warm before the clock starts. Both are timed by the
processor time that they take, so that neighbours on the machine change little; wall time is beside.
Needs no files: the bars are a random walk from a fixed seed; `--candles FILE` takes real ones. The
target is 3,000 bars a second; the ratio to vectorbt is printed beside.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from teleglas_signal_scorer.adapters.candle_files import read_bars
from teleglas_signal_scorer.adapters.messages import score_message
from teleglas_signal_scorer.domain.backtesting import scored
from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.intervals import LADDERS
from teleglas_signal_scorer.domain.weights import WeightsBook

FOLDER = Path(__file__).parent
TARGET = 3_000.0
LADDER = LADDERS["5m"]
BEGIN_NS = 1_735_689_600_000_000_000
FEES = 0.001


def walk(count: int) -> list[Bar]:
    """A random walk with volume and taker volume."""
    rng = random.Random(11)
    length, price = LADDER.base.length_ns, 60_000.0
    found = []
    for at in range(count):
        opened, price = price, price * (1.0 + rng.gauss(0.0, 0.002))
        high, low = max(opened, price) * 1.0005, min(opened, price) * 0.9995
        volume, ts = rng.uniform(1.0, 50.0), BEGIN_NS + at * length
        bought = volume * rng.random()
        prices = (opened, high, low, price)
        found.append(Bar(ts, ts + length, *prices, volume, volume * price, bought, 1, 1.0, 0))
    return found


def ours(bars: Sequence[Bar]) -> tuple[float, float, int]:
    """Processor and wall seconds and the scores of one run, receipts serialised."""
    began_s, wall_s = time.process_time(), time.perf_counter()
    count = 0
    for score in scored("BTC-USDT", bars, LADDER, WeightsBook()):
        score_message(score, {}).SerializeToString()
        count += 1
    return time.process_time() - began_s, time.perf_counter() - wall_s, count


def peer(bars: Sequence[Bar]) -> dict[str, Any]:
    """What vectorbt takes, in the peers' own environment."""
    python = os.environ.get("TELEGLAS_PEERS_PYTHON") or FOLDER.parent / ".venv-peers/bin/python"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.npz"
        np.savez(
            path,
            ts=np.array([bar.ts_open for bar in bars], dtype="datetime64[ns]"),
            close=[bar.close for bar in bars],
            high=[bar.high for bar in bars],
            low=[bar.low for bar in bars],
        )
        done = subprocess.run(
            [str(python), str(FOLDER / "_rule_vectorbt.py"), str(path), str(FEES)],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the peer failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--candles", nargs="+", type=Path, help="5m candle files")
    arguments = parser.parse_args()
    bars = (
        read_bars(arguments.candles, LADDER.base)[: arguments.bars]
        if arguments.candles
        else walk(arguments.bars)
    )
    rates = []
    for _ in range(arguments.runs):
        seconds, wall_s, count = ours(bars)
        rates.append(len(bars) / seconds)
        wall = f"{len(bars) / wall_s:,.0f} by the wall"
        print(f"ours     {rates[-1]:>12,.0f} bars/s  {count} scores with receipts, {wall}")
    rate = statistics.median(rates)
    found = peer(bars)
    theirs = found["bars"] / found["seconds"]
    print(f"vectorbt {theirs:>12,.0f} bars/s  one interval, whole arrays, no receipts")
    print(f"ours / vectorbt = {rate / theirs:.4f}")
    state = "ok" if rate >= TARGET else "short"
    print(f"backtest ratio={rate / TARGET:.2f} target=1.00 {state}")


if __name__ == "__main__":
    main()
