"""Trades of recorded spot frames, and candles counted from the frames directly."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import TradeBatch

__all__ = ["SOURCE", "batches", "counted_candles", "progress", "spot_trades"]

SOURCE = "binance/0/trades-0"
MS = 1_000_000
LENGTHS_NS = {
    "1s": 10**9, "1m": 60 * 10**9, "5m": 300 * 10**9, "15m": 900 * 10**9, "1h": 3600 * 10**9,
    "4h": 4 * 3600 * 10**9, "1d": 86400 * 10**9,
}  # fmt: skip


def spot_trades(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The raw trade frames of captures, in order."""
    frames = []
    for path in paths:
        with gzip.open(path, "rt") as lines:
            wanted = (line for line in lines if '"e":"trade"' in line)
            frames += [json.loads(line.split(" ", 1)[1])["data"] for line in wanted]
    return frames


def batches(
    frames: Iterable[dict[str, Any]], instrument: str, size: int, *, venue: str = "binance"
) -> Iterator[TradeBatch]:
    """The frames as records of at most `size` trades."""
    batch = _empty(instrument, venue)
    for frame in frames:
        batch.trades.add(
            id=str(frame["t"]),
            sequence=frame["t"],
            kind=1,
            side=2 if frame["m"] else 1,
            price=int(Decimal(frame["p"]).scaleb(2)),
            size=int(Decimal(frame["q"]).scaleb(8)),
            ts_event=frame["T"] * MS,
            ts_basis=1,
            ts_ingest=frame["E"] * MS,
            print=1,
        )
        if len(batch.trades) == size:
            yield batch
            batch = _empty(instrument, venue)
    if batch.trades:
        yield batch


def progress(
    ts_event: int, instruments: Sequence[str], *, venue: str = "binance", source: str = SOURCE
) -> Progress:
    """A mark of the source that `batches` writes as."""
    return Progress(
        venue=venue,
        source=source,
        writer_epoch=1,
        ts_event=ts_event,
        instruments=instruments,
        lease_ns=10 * 10**9,
    )


def counted_candles(
    frames: Sequence[dict[str, Any]], interval: str
) -> dict[int, tuple[Decimal, ...]]:
    """Open, high, low, close, volume, quote volume, taker buy volume and count, by begin in ns."""
    length = LENGTHS_NS[interval]
    buckets: dict[int, list[dict[str, Any]]] = {}
    for frame in frames:
        ts = frame["T"] * MS
        buckets.setdefault(ts - ts % length, []).append(frame)
    counted: dict[int, tuple[Decimal, ...]] = {}
    for begin, trades in buckets.items():
        ordered = sorted(trades, key=lambda t: (t["T"], t["t"]))
        prices = [Decimal(t["p"]) for t in ordered]
        sizes = [Decimal(t["q"]) for t in ordered]
        counted[begin] = (
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            sum(sizes, Decimal()),
            sum((p * q for p, q in zip(prices, sizes, strict=True)), Decimal()),
            sum((Decimal(t["q"]) for t in ordered if not t["m"]), Decimal()),
            Decimal(len(ordered)),
        )
    return counted


def _empty(instrument: str, venue: str) -> TradeBatch:
    return TradeBatch(
        venue=venue,
        instrument=instrument,
        price_exponent=-2,
        size_exponent=-8,
        contiguous=True,
        source=SOURCE if venue == "binance" else f"{venue}/0/trades-0",
        writer_epoch=1,
    )
