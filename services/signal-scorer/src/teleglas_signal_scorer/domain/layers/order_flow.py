"""Imbalance of taker orders within the last minute, and the whales of the last minutes."""

from __future__ import annotations

from math import fsum

from teleglas_signal_scorer.domain.intervals import SECOND_NS
from teleglas_signal_scorer.domain.layer import Fact, Layer, Reading, View, nothing, squash

__all__ = ["LAYER", "WHALES", "WHALE_WINDOW_NS", "WINDOW_NS", "read"]

WHALES = "whale.alerts"
"""The join's name of the alerts."""
WINDOW_NS = 60 * SECOND_NS
FAST_NS = 15 * SECOND_NS
WHALE_WINDOW_NS = 300 * SECOND_NS
WHALE_BARS = 5
IMBALANCE_SCALE = 3.0
WHALE_SCALE = 4.0
FLOW_SHARE = 0.6
"""Of the reading; the rest is the whales'."""
STALE_CONFIDENCE = 0.25


def read(view: View) -> Reading:
    """Net taker volume of the last 15 and 60 seconds, and the whales' net notional against the
    turnover of the last five minutes, each fading with its age.
    """
    if not view.ladder.has_seconds:
        return nothing("order_flow", "needs candles of seconds and whale alerts")
    flow, flow_confidence, facts = _flow(view)
    missing: list[str] = []
    reasons: list[str] = []
    if flow_confidence < 1.0:
        missing.append("order_flow.stale" if flow_confidence == STALE_CONFIDENCE else "order_flow")
        reasons.append("no trade in the last 60 s" if not facts else "seconds are incomplete")
    if WHALES in view.absent:
        missing.append(WHALES)
        reasons.append("whale alerts had not come so far")
        confidence = FLOW_SHARE * flow_confidence
        return Reading(flow, confidence, facts, tuple(missing), "; ".join(reasons))
    pressure, seen = _whales(view)
    value = FLOW_SHARE * flow + (1.0 - FLOW_SHARE) * pressure
    confidence = FLOW_SHARE * flow_confidence + (1.0 - FLOW_SHARE)
    return Reading(value, confidence, facts + seen, tuple(missing), "; ".join(reasons))


def _flow(view: View) -> tuple[float, float, tuple[Fact, ...]]:
    bars = [bar for bar in view.seconds if bar.ts_open >= view.tick - WINDOW_NS]
    volume = fsum(bar.volume for bar in bars)
    if volume <= 0:
        return 0.0, STALE_CONFIDENCE, ()
    ts = bars[-1].ts_close
    slow = fsum(2.0 * bar.bought - bar.volume for bar in bars) / volume
    recent = [bar for bar in bars if bar.ts_open >= view.tick - FAST_NS]
    turned = fsum(bar.volume for bar in recent)
    fast = fsum(2.0 * bar.bought - bar.volume for bar in recent) / turned if turned > 0 else 0.0
    facts = (Fact("imbalance.15s", fast, ts), Fact("imbalance.60s", slow, ts))
    complete = min(bar.completeness for bar in bars)
    return squash(IMBALANCE_SCALE * (fast + slow) / 2.0), complete, facts


def _whales(view: View) -> tuple[float, tuple[Fact, ...]]:
    begin = view.tick - WHALE_WINDOW_NS
    known = [whale for whale in view.whales if whale.ts_event > begin]
    if not known:
        return 0.0, (Fact("whales", 0.0, view.tick),)
    turnover = fsum(bar.quote for bar in view.base.last(WHALE_BARS))
    net = fsum(w.signed * ((w.ts_event - begin) / WHALE_WINDOW_NS) for w in known)
    largest = max(known, key=lambda whale: (abs(whale.signed), whale.id))
    facts = (
        Fact("whales", float(len(known)), known[-1].ts_event),
        Fact("whales.net_notional", net, known[-1].ts_event),
        Fact("whales.largest", largest.signed, largest.ts_event),
    )
    return squash(WHALE_SCALE * net / turnover if turnover > 0 else net), facts


LAYER = Layer(
    "order_flow",
    inputs=("market.candles", WHALES),
    warm_up=WHALE_BARS,
    stale_after_ns=WINDOW_NS,
    read=read,
)
