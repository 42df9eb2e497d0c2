"""`predictions`: forecasts of the composite with their intervals; the horizon is the `interval`."""

from __future__ import annotations

from google.protobuf.message import Message

from teleglas.prediction.v1 import prediction_pb2
from teleglas_common.bus.ports import PoisonError
from teleglas_contracts.topics import PREDICTION_FORECASTS_V1
from teleglas_gateway.channels.base import Body, Channel, Policy
from teleglas_gateway.channels.shared import EachRevision, Revision, checked_subject
from teleglas_gateway.domain.horizons import HORIZONS, NS_PER_S, horizon_name
from teleglas_gateway.domain.numbers import Numbers, iso_ms

__all__ = ["CHANNEL", "forecast_data"]

NAME = "predictions"
LOOKBACK = 8192
_DIRECTIONS = {
    prediction_pb2.DIRECTION_UP: "up",
    prediction_pb2.DIRECTION_DOWN: "down",
    prediction_pb2.DIRECTION_ABSTAIN: "abstain",
}


def _revision(message: Message) -> Revision | None:
    if not isinstance(message, prediction_pb2.Forecast):
        return None
    name = horizon_name(message.horizon_ns)
    if name is None:
        raise PoisonError(
            "bad_horizon", f"expected one of {', '.join(HORIZONS)}, was {message.horizon_ns} ns"
        )
    subject = checked_subject(NAME, message.venue, message.instrument, interval=name)
    return Revision(subject, message.id)


def forecast_data(forecast: prediction_pb2.Forecast, numbers: Numbers) -> Body:
    """Prices are floats, as models give them: no more exact than they are."""
    return Body(
        forecast.ts_event,
        {
            "id": forecast.id,
            "horizon": horizon_name(forecast.horizon_ns),
            "horizon_s": forecast.horizon_ns // NS_PER_S,
            "target_time": iso_ms(forecast.ts_target),
            "reference_price": numbers.inexact(forecast.reference_price),
            "median": numbers.inexact(forecast.median),
            "intervals": [
                {
                    "coverage": numbers.inexact(interval.coverage),
                    "lower": numbers.inexact(interval.lower),
                    "upper": numbers.inexact(interval.upper),
                }
                for interval in forecast.intervals
            ],
            "direction": _DIRECTIONS.get(forecast.direction, "unknown"),
            "abstain_reason": forecast.abstain_reason or None,
            "model": forecast.model,
            "model_version": forecast.model_version,
            "completeness": numbers.inexact(forecast.completeness),
            "exchange": forecast.venue,
            "ts_event": str(forecast.ts_event) if forecast.ts_event else None,
        },
    )


CHANNEL = Channel(
    name=NAME,
    type="prediction",
    topic=PREDICTION_FORECASTS_V1,
    policy=Policy.LOSSLESS,
    lookback=LOOKBACK,
    fold=lambda: EachRevision(_revision, window=LOOKBACK // 2),
    body=forecast_data,
    aliases=("prediction", "forecast", "forecasts"),
    has_composite=True,
    composite_only=True,
    intervals=tuple(HORIZONS),
    default_intervals=tuple(HORIZONS),
    snapshot_messages=1,
)
