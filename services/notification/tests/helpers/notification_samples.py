"""Alerts, scores and forecasts as the topics have them, and cards made of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from teleglas.market.v1.types_pb2 import SIDE_BUY
from teleglas.prediction.v1.prediction_pb2 import DIRECTION_ABSTAIN, Forecast, Interval
from teleglas.signal.v1.signal_pb2 import Contribution, Receipt, SignalScore
from teleglas.whale.v1.whale_pb2 import WHALE_KIND_SWEEP, Impact, WhaleAlert
from teleglas_notification.domain import cards

__all__ = ["SECOND", "T0", "alert", "card", "forecast", "score", "whale"]

SECOND = 1_000_000_000
T0 = 1_735_689_600 * SECOND


def alert(number: int = 1, **changes: Any) -> WhaleAlert:
    """A buy of 50 BTC for 2,250,000 USDT on binance."""
    made = WhaleAlert(
        id=f"binance:BTC-USDT:buy:{number}:1",
        venue="binance",
        instrument="BTC-USDT",
        kind=WHALE_KIND_SWEEP,
        side=SIDE_BUY,
        price_exponent=-2,
        size_exponent=-5,
        quote_exponent=-2,
        notional=225_000_000,
        size=5_000_000,
        vwap=4_500_000,
        threshold=150_000_000,
        percentile=0.9991,
        fills=31,
        levels_consumed=12,
        impacts=[Impact(horizon_ns=0, basis_points=3.2)],
        ts_first_fill=T0 + number * SECOND,
        ts_last_fill=T0 + number * SECOND + SECOND // 5,
        ts_event=T0 + number * SECOND + SECOND // 5,
    )
    made.MergeFrom(WhaleAlert(**changes))
    return made


def score(ts_event: int = T0, value: float = 34.5, stance: str = "buy") -> SignalScore:
    """A score of one layer."""
    return SignalScore(
        id=f"composite:BTC-USDT:{ts_event}",
        venue="composite",
        instrument="BTC-USDT",
        ts_event=ts_event,
        score=value,
        confidence=0.8,
        stance=stance,
        receipt=Receipt(
            contributions=[Contribution(layer="technical", points=value)],
            weights_version=3,
            missing=["news"],
        ),
    )


def forecast(ts_event: int = T0, direction: int = DIRECTION_ABSTAIN) -> Forecast:
    """Five minutes ahead."""
    return Forecast(
        id=f"composite:BTC-USDT:300:{ts_event}",
        venue="composite",
        instrument="BTC-USDT",
        horizon_ns=300 * SECOND,
        ts_event=ts_event,
        reference_price=45_000.0,
        median=45_000.0,
        intervals=[Interval(coverage=0.9, lower=44_700.0, upper=45_310.0)],
        direction=direction,  # type: ignore[arg-type]
        abstain_reason="no skill over the random walk",
        model="random-walk",
        model_version="1",
    )


def whale(**changes: Any) -> cards.Whale:
    """What the domain knows of such an alert."""
    values: dict[str, Any] = {
        "revision": 0,
        "kind": "sweep",
        "side": "buy",
        "size": Decimal(50),
        "notional": Decimal("2250000.00"),
        "vwap": Decimal("45000.00"),
        "threshold": Decimal("1500000.00"),
        "percentile": 0.9991,
        "fills": 31,
        "levels": 12,
        "impacts": ((0.0, 3.2),),
        "is_closed": False,
        "lower_bound": False,
        "ts_first_fill": T0,
        "ts_last_fill": T0,
        "ts_known": T0,
    }
    return cards.Whale(**values | changes)


def card(number: int = 1, **changes: Any) -> cards.Card:
    """An alert as a card."""
    values: dict[str, Any] = {
        "event_id": f"binance:BTC-USDT:buy:{number}:1",
        "kind": "whale",
        "venue": "binance",
        "instrument": "BTC-USDT",
        "ts_event": T0,
        "whale": whale(),
    }
    return cards.Card(**values | changes)
