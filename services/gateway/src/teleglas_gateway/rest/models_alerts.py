"""Answers about whales, scores and forecasts, as OpenAPI shows them."""

from __future__ import annotations

from typing import Literal

from teleglas_gateway.rest.models import DecimalString, Model, Nanoseconds, Timestamp

__all__ = [
    "Contribution",
    "Explanation",
    "Forecast",
    "GptWhales",
    "LedgerEntry",
    "Threshold",
    "Weights",
    "Whale",
    "WhaleDetail",
]

Share = DecimalString | None


class PriceImpact(Model):
    """Price change so long after the last fill, against the mid before the first."""

    horizon_ms: int
    basis_points: DecimalString | None


class Whale(Model):
    """A parent order over its market's threshold, in its newest revision."""

    symbol: str
    venue: str
    timestamp: Timestamp
    id: str
    transaction_id: str
    amount: DecimalString
    usd_value: DecimalString | None
    usd_basis: str | None
    side: str
    impact: Literal["low", "medium", "high"]
    kind: str
    revision: int
    is_closed: bool
    notional: DecimalString
    vwap: DecimalString
    first_fill_time: Timestamp
    last_fill_time: Timestamp
    fills: int
    levels_consumed: int
    depth_share: Share
    impacts: list[PriceImpact]
    threshold: DecimalString
    percentile: DecimalString | None
    lower_bound: bool
    definition_version: int
    first_trade_id: str
    last_trade_id: str
    ts_event: Nanoseconds | None


class WhaleDetail(Whale):
    """The same with every fill by id."""

    trade_ids: list[str]


class Threshold(Model):
    """What a parent order must reach now. `notional` is null while `warm_up` is below 1."""

    symbol: str
    venue: str
    timestamp: Timestamp | None
    notional: DecimalString | None
    quantile: DecimalString | None
    warm_up: DecimalString | None
    observations: int
    definition_version: int


class GptWhale(Model):
    """The predecessor's fields: JSON numbers."""

    id: str
    transaction_id: str
    timestamp: Timestamp
    symbol: str
    amount: float
    usd_value: float | None
    side: str
    exchange: str
    impact: str


class GptWhales(Model):
    symbol: str | None
    count: int
    transactions: list[GptWhale]


class Contribution(Model):
    """A layer's part of a score; `reason` says why it was weakened or missing."""

    layer: str
    points: DecimalString | None
    reading: DecimalString | None
    weight: DecimalString | None
    confidence: DecimalString | None
    reason: str | None


class Signal(Model):
    """A score from -100 to 100. The points of its contributions add up to it within 1e-9."""

    symbol: str
    venue: str
    timestamp: Timestamp
    id: str
    score: DecimalString | None
    confidence: DecimalString | None
    stance: str
    completeness: DecimalString | None
    contributions: list[Contribution]
    weights_version: int
    missing: list[str]
    confidence_cost: DecimalString | None
    ts_event: Nanoseconds | None


class LayerInput(Model):
    layer: str
    name: str
    value: DecimalString | None
    timestamp: Timestamp | None


class TopicPosition(Model):
    """Up to where a partition had been read."""

    topic: str
    partition: int
    offset: int


class Explanation(Model):
    """A score, why it is what it is, and what it was made from."""

    signal: Signal
    sentences: list[str]
    inputs: list[LayerInput]
    positions: list[TopicPosition]


class LayerWeight(Model):
    layer: str
    weight: DecimalString | None


class Weights(Model):
    version: int
    layers: list[LayerWeight]
    effective_time: Timestamp | None
    changed_by: str
    reason: str


class PriceInterval(Model):
    """Holds the price at the horizon with the probability `coverage`."""

    coverage: DecimalString | None
    lower: DecimalString | None
    upper: DecimalString | None


class Forecast(Model):
    """`direction` is `abstain` where there is no skill over the baseline; the interval stands."""

    symbol: str
    venue: str
    timestamp: Timestamp
    id: str
    horizon: str | None
    horizon_s: int
    target_time: Timestamp
    reference_price: DecimalString | None
    median: DecimalString | None
    intervals: list[PriceInterval]
    direction: str
    abstain_reason: str | None
    model: str
    model_version: str
    completeness: DecimalString | None
    ts_event: Nanoseconds | None


class LedgerEntry(Model):
    """A forecast and what became of it; null and empty until its time has come."""

    forecast: Forecast
    outcome_price: DecimalString | None
    resolved_time: Timestamp | None
    covered: list[bool]
    pinball_loss: DecimalString | None
    baseline_pinball_loss: DecimalString | None


class Metric(Model):
    name: str
    value: DecimalString | None


class ForecastModel(Model):
    name: str
    version: str
    horizon: str | None
    horizon_s: int
    champion: bool
    features: list[str]
    data_from: Timestamp | None
    data_to: Timestamp | None
    training_data_sha256: str
    metrics: list[Metric]


class MlPoint(Model):
    """One horizon, in JSON numbers."""

    horizon: str | None
    timestamp: Timestamp
    predicted_price: float | None
    lower: float | None
    upper: float | None
    coverage: float | None
    direction: str
    abstain_reason: str | None
    model: str


class MlPrediction(Model):
    symbol: str
    timestamp: Timestamp
    current_price: float | None
    periods: int
    predictions: list[MlPoint]


class MlRefusal(Model):
    symbol: str
    code: str
    detail: str


class MlBatch(Model):
    periods: int
    results: list[MlPrediction]
    errors: list[MlRefusal]
