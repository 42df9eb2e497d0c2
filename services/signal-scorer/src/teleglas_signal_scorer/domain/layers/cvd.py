"""Cumulative volume delta of takers, and where it parts from the price."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import fsum

from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.intervals import MINUTE_NS
from teleglas_signal_scorer.domain.layer import Fact, Layer, Reading, View, nothing, squash

__all__ = ["BARS", "LAYER", "of_bars", "read"]

BARS = 30
LEAST_BARS = 5
FLOW_SCALE = 4.0
DIVERGENCE = 0.5
"""Share of the gap between flow and price that counts when they point in opposite directions."""
STALE_BARS = 5


def read(view: View) -> Reading:
    """What the base bars say, read once for as long as they are the same."""
    version = view.base.version
    known = view.memo.get("cvd")
    if known is not None and known[0] == version:
        return known[1]  # type: ignore[return-value]
    reading = of_bars(view.base.last(BARS))
    view.memo["cvd"] = (version, reading)
    return reading


def of_bars(bars: Sequence[Bar]) -> Reading:
    """The takers' net share of the volume of the last `BARS` closed base bars; where the price
    went the other way, the gap to it pulls further towards the flow.
    """
    if len(bars) < LEAST_BARS:
        return nothing("cvd", f"warming up: {len(bars)} of {BARS} bars")
    if min([bar.bought for bar in bars]) < 0:
        return nothing("cvd.taker_volume", "the candles do not say what takers bought")
    volume = fsum([bar.volume for bar in bars])
    if volume <= 0:
        return nothing("cvd.volume", f"no volume in the last {len(bars)} bars")
    delta = fsum([2.0 * bar.bought - bar.volume for bar in bars])
    flow, moved = delta / volume, efficiency(bars)
    gap = flow - moved if flow * moved < 0 else 0.0
    ts = bars[-1].ts_close
    facts = (
        Fact("cvd", delta, ts),
        Fact("cvd.flow", flow, ts),
        Fact("cvd.price_move", moved, ts),
        Fact("cvd.divergence", gap, ts),
    )
    value = squash(FLOW_SCALE * (flow + DIVERGENCE * gap))
    return _weakened(value, bars, facts)


def efficiency(bars: Sequence[Bar]) -> float:
    """How straight the price went: net change over the path's length, from -1 to 1."""
    closes = [bar.close for bar in bars]
    path = fsum([abs(later - close) for close, later in pairwise(closes)])
    return (closes[-1] - closes[0]) / path if path > 0 else 0.0


def _weakened(value: float, bars: Sequence[Bar], facts: tuple[Fact, ...]) -> Reading:
    missing: list[str] = []
    reasons: list[str] = []
    confidence = len(bars) / BARS
    if confidence < 1.0:
        missing.append("cvd.warm_up")
        reasons.append(f"warming up: {len(bars)} of {BARS} bars")
    complete = min([bar.completeness for bar in bars])
    if complete < 1.0:
        confidence *= complete
        missing.append("cvd.completeness")
        reasons.append(f"candles are {complete:.1%} complete")
    if not any(bar.trades for bar in bars[-STALE_BARS:]):
        confidence *= 0.5
        missing.append("cvd.stale")
        reasons.append(f"no trade in the last {STALE_BARS} bars")
    return Reading(value, confidence, facts, tuple(missing), "; ".join(reasons))


LAYER = Layer(
    "cvd",
    inputs=("market.candles",),
    warm_up=BARS,
    stale_after_ns=STALE_BARS * MINUTE_NS,
    read=read,
)
