"""Technical indicators over three intervals."""

from __future__ import annotations

from teleglas_signal_scorer.domain.bars import Series
from teleglas_signal_scorer.domain.indicators import BARS, INDICATORS, Prices
from teleglas_signal_scorer.domain.intervals import MINUTE_NS, Interval
from teleglas_signal_scorer.domain.layer import Fact, Layer, Reading, View

__all__ = ["LAYER", "read"]

SHARES = (0.4, 0.35, 0.25)
"""How much each interval counts, shortest first."""
STALE_BARS = 5

Part = tuple[float, int, tuple[Fact, ...]]
"""Mean of the warm indicators of one interval, how many were warm, what was read."""


def read(view: View) -> Reading:
    """The mean of RSI, MACD and trend on each interval, over those that are warm."""
    value = known = 0.0
    facts: tuple[Fact, ...] = ()
    missing: list[str] = []
    for interval, share in zip(view.ladder.intervals, SHARES, strict=True):
        mean, warm, seen = _of(view, interval)
        facts += seen
        if warm < len(INDICATORS):
            missing.append(f"technical.{interval.name}")
        value += mean * warm / len(INDICATORS) * share
        known += share * warm / len(INDICATORS)
    if known <= 0.0:
        return Reading(0.0, 0.0, facts, tuple(missing), "no interval has enough closed bars yet")
    reasons = [f"warming up: {', '.join(missing)}"] if missing else []
    confidence = known
    complete, traded = _state(view)
    if complete < 1.0:
        reasons.append(f"candles are {complete:.1%} complete")
        missing.append("technical.completeness")
        confidence *= complete
    if not traded:
        reasons.append(f"no trade in the last {STALE_BARS} bars")
        missing.append("technical.stale")
        confidence *= 0.5
    return Reading(value / known, confidence, facts, tuple(missing), "; ".join(reasons))


def _of(view: View, interval: Interval) -> Part:
    series = view.series[interval.name]
    name = f"technical.{interval.name}"
    memo = view.memo.get(name)
    if memo is not None and memo[0] == series.version:
        return memo[1]  # type: ignore[return-value]
    part = _compute(interval, series)
    view.memo[name] = (series.version, part)
    return part


def _compute(interval: Interval, series: Series) -> Part:
    count = len(series.bars)
    values: list[float] = []
    facts: list[Fact] = []
    prices = Prices.of(series.last(BARS))
    for name, bars, indicator in INDICATORS:
        if count < bars:
            continue
        values.append(indicator(prices.last(bars)))
        facts.append(Fact(f"{name}.{interval.name}", values[-1], series.bars[-1].ts_close))
    mean = sum(values) / len(values) if values else 0.0
    return mean, len(values), tuple(facts)


def _state(view: View) -> tuple[float, bool]:
    """How complete the base bars are, and whether the newest of them had trades."""
    bars = view.base.last(BARS)
    complete = min([bar.completeness for bar in bars], default=0.0)
    return complete, any(bar.trades for bar in bars[-STALE_BARS:])


LAYER = Layer(
    "technical",
    inputs=("market.candles",),
    warm_up=BARS,
    stale_after_ns=STALE_BARS * MINUTE_NS,
    read=read,
)
