"""Between the domain's values and the messages on the wire."""

from __future__ import annotations

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.prediction.v1.prediction_pb2 import (
    DIRECTION_ABSTAIN,
    DIRECTION_DOWN,
    DIRECTION_UP,
    Forecast,
    Interval,
)
from teleglas_common.bus.ports import PoisonError
from teleglas_prediction.domain.bars import Bar
from teleglas_prediction.domain.conformal import COVERAGES
from teleglas_prediction.domain.horizons import INTERVALS_NS, SECOND_NS, label_of
from teleglas_prediction.domain.series import Entry

__all__ = ["COMPOSITE", "MAX_NAME", "bar_of", "forecast_id", "forecast_key", "forecast_message"]

COMPOSITE = "composite"
MAX_NAME = 64
MAX_EXPONENT = 30
MAX_TS = 1 << 62

DIRECTIONS = {1: DIRECTION_UP, -1: DIRECTION_DOWN, 0: DIRECTION_ABSTAIN}


def bar_of(candle: Candle) -> Bar:
    """The bar of a closed candle. Raises PoisonError when a value is impossible."""
    length_ns = INTERVALS_NS[candle.interval]
    where = f"{candle.instrument[:MAX_NAME]} {candle.interval} {candle.ts_open}"
    if not 0 < len(candle.instrument) <= MAX_NAME or not candle.instrument.isprintable():
        raise PoisonError("impossible_candle", f"expected an instrument, was {where!r}")
    if not candle.is_closed:
        raise PoisonError("open_candle", f"expected closed candles only, was open ({where})")
    aligned = candle.ts_open % length_ns == 0 and 0 < candle.ts_open < MAX_TS
    if not aligned or candle.ts_close != candle.ts_open + length_ns:
        raise PoisonError(
            "impossible_candle",
            f"expected a begin on the interval's grid and an end {length_ns} ns later,"
            f" was {candle.ts_close} ({where})",
        )
    if not 0 < candle.low <= min(candle.open, candle.close) or candle.high < max(
        candle.open, candle.close
    ):
        raise PoisonError(
            "impossible_candle",
            "expected 0 < low <= open, close <= high, was"
            f" {candle.low}, {candle.open}, {candle.close}, {candle.high} ({where})",
        )
    exponents = (candle.price_exponent, candle.size_exponent)
    if max(map(abs, exponents)) > MAX_EXPONENT or candle.volume < 0:
        raise PoisonError(
            "impossible_candle",
            f"expected exponents within ±{MAX_EXPONENT} and no negative volume,"
            f" was {exponents} and {candle.volume} ({where})",
        )
    if not 0 <= candle.completeness <= 1:
        raise PoisonError(
            "impossible_candle", f"expected a completeness in [0, 1], was {candle.completeness}"
        )
    prices, sizes = 10.0**candle.price_exponent, 10.0**candle.size_exponent
    return Bar(
        candle.ts_open,
        candle.high * prices,
        candle.low * prices,
        candle.close * prices,
        candle.volume * sizes,
        candle.completeness,
    )


def forecast_id(instrument: str, entry: Entry) -> str:
    """The event id: the same in every replay; horizon and time in seconds."""
    horizon_s, ts_s = entry.horizon_ns // SECOND_NS, entry.ts_event // SECOND_NS
    return f"{COMPOSITE}:{instrument}:{horizon_s}:{ts_s}:{entry.model}-{entry.version}"


def forecast_key(instrument: str, entry: Entry) -> str:
    """The record key: instrument:horizon."""
    return f"{instrument}:{label_of(entry.horizon_ns)}"


def forecast_message(instrument: str, entry: Entry) -> Forecast:
    """The forecast on the wire, in prices."""
    return Forecast(
        id=forecast_id(instrument, entry),
        venue=COMPOSITE,
        instrument=instrument,
        horizon_ns=entry.horizon_ns,
        ts_event=entry.ts_event,
        ts_target=entry.ts_target,
        reference_price=entry.price(0.0),
        median=entry.price(entry.median),
        intervals=[
            Interval(
                coverage=coverage,
                lower=entry.price(entry.median - half),
                upper=entry.price(entry.median + half),
            )
            for coverage, half in zip(COVERAGES, entry.halves, strict=True)
        ],
        direction=DIRECTIONS[entry.direction.sign],
        abstain_reason=entry.direction.reason,
        model=entry.model,
        model_version=entry.version,
        completeness=entry.completeness,
    )
