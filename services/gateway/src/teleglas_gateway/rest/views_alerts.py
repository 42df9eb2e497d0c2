"""From what the intelligence services answer to what the REST API shows."""

from __future__ import annotations

from collections.abc import Sequence

from teleglas.prediction.v1 import prediction_pb2
from teleglas.signal.v1 import signal_pb2
from teleglas.whale.v1 import whale_pb2
from teleglas_gateway.channels.base import Body
from teleglas_gateway.channels.predictions import forecast_data
from teleglas_gateway.channels.signals import score_data
from teleglas_gateway.channels.whales import LEGACY_FIELDS, whale_data
from teleglas_gateway.domain.horizons import NS_PER_S, horizon_name
from teleglas_gateway.domain.numbers import DECIMAL_STRINGS, iso_ms
from teleglas_gateway.rest.models_alerts import (
    Explanation,
    Forecast,
    ForecastModel,
    GptWhale,
    LedgerEntry,
    MlPoint,
    MlPrediction,
    Signal,
    Threshold,
    Weights,
    Whale,
    WhaleDetail,
)

__all__ = [
    "explanation",
    "forecast",
    "forecast_model",
    "gpt_whale",
    "ledger_entry",
    "ml_prediction",
    "signal",
    "threshold",
    "weights",
    "whale",
    "whale_detail",
]

_number = DECIMAL_STRINGS.inexact


def whale(alert: whale_pb2.WhaleAlert) -> Whale:
    return Whale.model_validate(_row(alert.instrument, whale_data(alert, DECIMAL_STRINGS)))


def whale_detail(alert: whale_pb2.WhaleAlert) -> WhaleDetail:
    row = _row(alert.instrument, whale_data(alert, DECIMAL_STRINGS))
    return WhaleDetail.model_validate({**row, "trade_ids": list(alert.trade_ids)})


def gpt_whale(alert: whale_pb2.WhaleAlert, short_name: str) -> GptWhale:
    body = whale_data(alert, DECIMAL_STRINGS)
    kept = {name: value for name, value in body.data.items() if name in LEGACY_FIELDS}
    return GptWhale.model_validate({"symbol": short_name, "timestamp": iso_ms(body.ts_ns), **kept})


def threshold(found: whale_pb2.Threshold) -> Threshold:
    known = found.HasField("notional")
    return Threshold.model_validate(
        {
            "symbol": found.instrument,
            "venue": found.venue,
            "timestamp": _time(found.ts_event),
            "notional": _number(found.notional) if known else None,
            "quantile": _number(found.quantile),
            "warm_up": _number(found.warm_up),
            "observations": found.observations,
            "definition_version": found.definition_version,
        }
    )


def signal(score: signal_pb2.SignalScore) -> Signal:
    return Signal.model_validate(_row(score.instrument, score_data(score, DECIMAL_STRINGS)))


def explanation(answer: signal_pb2.ExplainResponse) -> Explanation:
    receipt = answer.score.receipt
    return Explanation.model_validate(
        {
            "signal": signal(answer.score),
            "sentences": list(answer.sentences),
            "inputs": [
                {
                    "layer": part.layer,
                    "name": one.name,
                    "value": _number(one.value),
                    "timestamp": _time(one.ts_event),
                }
                for part in receipt.contributions
                for one in part.inputs
            ],
            "positions": [
                {"topic": at.topic, "partition": at.partition, "offset": at.offset}
                for at in receipt.positions
            ],
        }
    )


def weights(found: signal_pb2.Weights) -> Weights:
    return Weights.model_validate(
        {
            "version": found.version,
            "layers": [{"layer": one.layer, "weight": _number(one.weight)} for one in found.layers],
            "effective_time": _time(found.ts_effective),
            "changed_by": found.changed_by,
            "reason": found.reason,
        }
    )


def forecast(found: prediction_pb2.Forecast) -> Forecast:
    return Forecast.model_validate(_row(found.instrument, forecast_data(found, DECIMAL_STRINGS)))


def ledger_entry(entry: prediction_pb2.LedgerEntry) -> LedgerEntry:
    def known(name: str) -> object:
        present = entry.HasField(name)  # type: ignore[arg-type]
        return _number(getattr(entry, name)) if present else None

    return LedgerEntry.model_validate(
        {
            "forecast": forecast(entry.forecast),
            "outcome_price": known("outcome_price"),
            "resolved_time": _time(entry.ts_resolved),
            "covered": list(entry.covered),
            "pinball_loss": known("pinball_loss"),
            "baseline_pinball_loss": known("baseline_pinball_loss"),
        }
    )


def forecast_model(model: prediction_pb2.Model) -> ForecastModel:
    return ForecastModel.model_validate(
        {
            "name": model.name,
            "version": model.version,
            "horizon": horizon_name(model.horizon_ns),
            "horizon_s": model.horizon_ns // NS_PER_S,
            "champion": model.champion,
            "features": list(model.features),
            "data_from": _time(model.ts_data_from),
            "data_to": _time(model.ts_data_to),
            "training_data_sha256": model.training_data_sha256,
            "metrics": [
                {"name": metric.name, "value": _number(metric.value)} for metric in model.metrics
            ],
        }
    )


def ml_prediction(
    forecasts: Sequence[prediction_pb2.Forecast], short_name: str, periods: int, now_ns: int
) -> MlPrediction:
    """Forecasts of one market, the shortest horizon first, with the widest interval of each."""
    ordered = sorted(forecasts, key=lambda found: found.horizon_ns)
    newest = max(ordered, key=lambda found: found.ts_event, default=None)
    return MlPrediction.model_validate(
        {
            "symbol": short_name,
            "timestamp": iso_ms(newest.ts_event if newest is not None else now_ns),
            "current_price": None if newest is None else _number(newest.reference_price),
            "periods": periods,
            "predictions": [_ml_point(found) for found in ordered],
        }
    )


def _ml_point(found: prediction_pb2.Forecast) -> MlPoint:
    row = forecast(found)
    widest = max(row.intervals, key=lambda one: float(one.coverage or 0), default=None)
    return MlPoint.model_validate(
        {
            "horizon": row.horizon,
            "timestamp": row.target_time,
            "predicted_price": row.median,
            "lower": None if widest is None else widest.lower,
            "upper": None if widest is None else widest.upper,
            "coverage": None if widest is None else widest.coverage,
            "direction": row.direction,
            "abstain_reason": row.abstain_reason,
            "model": f"{row.model}@{row.model_version}",
        }
    )


def _row(instrument: str, body: Body) -> dict[str, object]:
    data = dict(body.data)
    venue = data.pop("exchange")
    return {"symbol": instrument, "venue": venue, "timestamp": iso_ms(body.ts_ns), **data}


def _time(ts_ns: int) -> str | None:
    return iso_ms(ts_ns) if ts_ns else None
