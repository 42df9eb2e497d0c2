"""From messages of topics to what the domain knows, each checked before it is believed."""

from __future__ import annotations

import math
from decimal import Decimal

from teleglas.prediction.v1.prediction_pb2 import Direction
from teleglas.prediction.v1.prediction_pb2 import Forecast as ForecastMessage
from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas.whale.v1.whale_pb2 import WhaleAlert, WhaleKind
from teleglas_common.bus.ports import PoisonError
from teleglas_notification.domain.cards import Contribution, Forecast, Score, Whale

__all__ = ["MAX_EVENT_ID", "forecast_of", "score_of", "whale_of"]

MAX_NAME = 64
MAX_EVENT_ID = 256
MAX_EXPONENT = 30
MAX_LAYERS = 32
MAX_TS = 4_102_444_800_000_000_000
"""The year 2100: later times cannot be shown."""
SIDES = {1: "buy", 2: "sell"}
KINDS = {value: name.removeprefix("WHALE_KIND_").lower() for name, value in WhaleKind.items()}
DIRECTIONS = {value: name.removeprefix("DIRECTION_").lower() for name, value in Direction.items()}


def whale_of(alert: WhaleAlert) -> Whale:
    """Raises PoisonError where the alert cannot be true."""
    _check_names("alert", alert.id, alert.venue, alert.instrument)
    exponents = (alert.price_exponent, alert.size_exponent, alert.quote_exponent)
    sound = (
        alert.notional > 0
        and alert.size > 0
        and alert.vwap > 0
        and alert.threshold >= 0
        and all(abs(one) <= MAX_EXPONENT for one in exponents)
        and 0 <= alert.percentile <= 1
        and 0 < alert.ts_first_fill <= alert.ts_last_fill < MAX_TS
        and alert.ts_event < MAX_TS
        and alert.side in SIDES
        and all(math.isfinite(one.basis_points) for one in alert.impacts)
    )
    if not sound:
        raise PoisonError(
            "impossible_alert",
            "expected a side, amounts above 0, a percentile of 0 to 1 and times in order,"
            f" were in {alert.id[:MAX_EVENT_ID]!r}: {alert.notional}, {alert.size}, {alert.vwap},"
            f" {alert.percentile}, {alert.ts_first_fill}, {alert.ts_last_fill}",
        )
    return Whale(
        alert.revision,
        KINDS.get(alert.kind, "order"),
        SIDES[alert.side],
        _scaled(alert.size, alert.size_exponent),
        _scaled(alert.notional, alert.quote_exponent),
        _scaled(alert.vwap, alert.price_exponent),
        _scaled(alert.threshold, alert.quote_exponent),
        alert.percentile,
        alert.fills,
        alert.levels_consumed,
        tuple((one.horizon_ns / 1e9, one.basis_points) for one in alert.impacts[:8]),
        alert.is_closed,
        alert.lower_bound,
        alert.ts_first_fill,
        alert.ts_last_fill,
        max(alert.ts_event, alert.ts_last_fill),
    )


def score_of(message: SignalScore) -> Score:
    """Raises PoisonError where the score cannot be true."""
    _check_names("score", message.id, message.venue, message.instrument)
    if not -100 <= message.score <= 100 or not 0 < message.ts_event < MAX_TS:
        raise PoisonError(
            "impossible_score",
            "expected a score of -100 to 100 at a time above 0,"
            f" were {message.score} and {message.ts_event}",
        )
    receipt = message.receipt
    return Score(
        message.id,
        message.ts_event,
        message.score,
        message.confidence if 0 <= message.confidence <= 1 else 0.0,
        message.stance[:MAX_NAME],
        tuple(
            Contribution(one.layer[:MAX_NAME], one.points, one.reason[:MAX_EVENT_ID])
            for one in receipt.contributions[:MAX_LAYERS]
            if math.isfinite(one.points)
        ),
        tuple(name[:MAX_NAME] for name in receipt.missing[:MAX_LAYERS]),
        receipt.weights_version,
    )


def forecast_of(message: ForecastMessage) -> Forecast:
    """Raises PoisonError where the forecast cannot be true. Of several intervals the one nearest to
    90 % is told.
    """
    _check_names("forecast", message.id, message.venue, message.instrument)
    intervals = [
        one for one in message.intervals[:MAX_LAYERS] if 0 < one.coverage < 1
        and math.isfinite(one.lower) and math.isfinite(one.upper) and one.lower <= one.upper
    ]  # fmt: skip
    if not intervals or message.horizon_ns <= 0 or not 0 < message.ts_event < MAX_TS:
        raise PoisonError(
            "impossible_forecast",
            "expected an interval, a horizon and a time above 0,"
            f" were {len(intervals)}, {message.horizon_ns} and {message.ts_event}",
        )
    told = min(intervals, key=lambda one: abs(one.coverage - 0.9))
    return Forecast(
        message.id,
        message.horizon_ns,
        message.ts_event,
        message.reference_price if math.isfinite(message.reference_price) else 0.0,
        message.median if math.isfinite(message.median) else 0.0,
        told.coverage,
        told.lower,
        told.upper,
        DIRECTIONS.get(message.direction, "abstain"),
        message.abstain_reason[:MAX_EVENT_ID],
        f"{message.model} {message.model_version}"[:MAX_NAME],
    )


def _check_names(what: str, event_id: str, venue: str, instrument: str) -> None:
    named = 0 < len(event_id) <= MAX_EVENT_ID and event_id.isprintable()
    if not named or not all(
        0 < len(name) <= MAX_NAME and name.isprintable() for name in (venue, instrument)
    ):
        raise PoisonError(
            f"unnamed_{what}",
            "expected an id, a venue and an instrument, were"
            f" {event_id[:MAX_EVENT_ID]!r}, {venue[:MAX_NAME]!r}, {instrument[:MAX_NAME]!r}",
        )


def _scaled(mantissa: int, exponent: int) -> Decimal:
    return Decimal(mantissa).scaleb(exponent)
