"""Between the domain's values and the messages on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.types_pb2 import SIDE_SELL
from teleglas.signal.v1 import signal_pb2 as pb
from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_common.bus.ports import PoisonError
from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.intervals import Interval
from teleglas_signal_scorer.domain.layer import Fact
from teleglas_signal_scorer.domain.scoring import Contribution, Score
from teleglas_signal_scorer.domain.weights import Weights
from teleglas_signal_scorer.domain.whales import Whale

__all__ = [
    "COMPOSITE",
    "MAX_NAME",
    "MAX_TS",
    "bar_of",
    "contributions_of",
    "score_message",
    "weights_message",
    "whale_of",
]

COMPOSITE = "composite"
MAX_TS = 1 << 62
"""Event times beyond this (the year 2116) are no times."""
MAX_NAME = 64
MAX_ID = 256
MAX_EXPONENT = 30


def bar_of(candle: Candle, interval: Interval) -> Bar:
    """The bar of a closed candle. Raises PoisonError when a value is impossible."""
    _check_candle(candle, interval)
    price, size = _scale(candle.price_exponent), _scale(candle.size_exponent)
    return Bar(
        candle.ts_open,
        candle.ts_close,
        _scaled(candle.open, price),
        _scaled(candle.high, price),
        _scaled(candle.low, price),
        _scaled(candle.close, price),
        _scaled(candle.volume, size),
        _scaled(candle.quote_volume, _scale(candle.quote_exponent)),
        _scaled(candle.taker_buy_volume, size),
        candle.trades,
        candle.completeness,
        candle.revision,
    )


def _check_candle(candle: Candle, interval: Interval) -> None:
    check_name(candle.instrument)
    place = f"{candle.instrument[:MAX_NAME]} {interval.name} {candle.ts_open}"
    ends = candle.ts_open + interval.length_ns
    on_grid = candle.ts_open % interval.length_ns == 0 and candle.ts_close == ends
    if not on_grid or not 0 < candle.ts_open < MAX_TS:
        raise PoisonError("impossible_time", f"expected a whole interval, was {place}")
    prices_fit = 0 < candle.low <= min(candle.open, candle.close)
    if not prices_fit or candle.high < max(candle.open, candle.close):
        raise PoisonError("impossible_price", f"expected 0 < low <= open, close <= high, {place}")
    volumes = (candle.volume - candle.taker_buy_volume, candle.taker_buy_volume)
    if min(*volumes, candle.quote_volume) < 0:
        raise PoisonError("impossible_volume", f"expected volumes of 0 or more, {place}")
    if not 0.0 <= candle.completeness <= 1.0:
        raise PoisonError("impossible_completeness", f"was {candle.completeness}, {place}")
    exponents = (candle.price_exponent, candle.size_exponent, candle.quote_exponent)
    if any(abs(exponent) > 2 * MAX_EXPONENT for exponent in exponents):
        raise PoisonError("impossible_exponent", f"was {exponents}, {place}")


def check_name(*names: str) -> None:
    """Raise PoisonError for what cannot be a name: empty, long, or with NUL, which no database
    takes.
    """
    for name in names:
        if not name or len(name) > MAX_NAME or "\0" in name:
            raise PoisonError("impossible_name", f"expected a name, was {name[:MAX_NAME]!r}")


def whale_of(alert: WhaleAlert) -> Whale:
    """What a score reads of an alert. Raises PoisonError when a value is impossible."""
    check_name(alert.venue, alert.instrument)
    if not 0 < len(alert.id) <= MAX_ID:
        raise PoisonError("impossible_name", f"expected an id, was {len(alert.id)} characters")
    if not 0 < alert.ts_event < MAX_TS:
        raise PoisonError("impossible_time", f"was {alert.ts_event} ({alert.id})")
    if alert.notional < 0 or abs(alert.quote_exponent) > 2 * MAX_EXPONENT:
        raise PoisonError(
            "impossible_notional",
            f"was {alert.notional} with exponent {alert.quote_exponent} ({alert.id})",
        )
    notional = _scaled(alert.notional, _scale(alert.quote_exponent))
    signed = -notional if alert.side == SIDE_SELL else notional
    percentile = alert.percentile if 0.0 <= alert.percentile <= 1.0 else 0.0
    return Whale(alert.id, alert.revision, alert.venue, alert.ts_event, signed, percentile)


def score_message(score: Score, positions: Mapping[str, tuple[int, int]]) -> pb.SignalScore:
    """The score on the wire; `positions` are (partition, offset) by topic."""
    return pb.SignalScore(
        id=score.id,
        venue=COMPOSITE,
        instrument=score.instrument,
        ts_event=score.tick,
        score=score.score,
        confidence=score.confidence,
        stance=score.stance,
        completeness=score.completeness,
        receipt=pb.Receipt(
            contributions=[_contribution(one) for one in score.contributions],
            weights_version=score.weights_version,
            positions=[
                pb.TopicPosition(topic=topic, partition=partition, offset=offset)
                for topic, (partition, offset) in sorted(positions.items())
            ],
            missing=score.missing,
            confidence_cost=1.0 - score.confidence,
        ),
    )


def _contribution(one: Contribution) -> pb.Contribution:
    return pb.Contribution(
        layer=one.layer,
        points=one.points,
        reading=one.reading,
        weight=one.weight,
        confidence=one.confidence,
        inputs=[pb.Input(name=n, value=value, ts_event=ts) for n, value, ts in one.facts],
        reason=one.reason,
    )


def contributions_of(message: pb.SignalScore) -> list[Contribution]:
    """The contributions of a stored score."""
    return [
        Contribution(
            one.layer,
            one.points,
            one.reading,
            one.weight,
            one.confidence,
            tuple(Fact(fact.name, fact.value, fact.ts_event) for fact in one.inputs),
            one.reason,
        )
        for one in message.receipt.contributions
    ]


def weights_message(weights: Weights) -> pb.Weights:
    """A version of the weights on the wire."""
    return pb.Weights(
        version=weights.version,
        layers=_layers(weights.layers),
        ts_effective=weights.ts_effective,
        changed_by=weights.changed_by,
        reason=weights.reason,
    )


def _layers(layers: Iterable[tuple[str, float]]) -> list[pb.LayerWeight]:
    return [pb.LayerWeight(layer=name, weight=weight) for name, weight in layers]


def _scale(exponent: int) -> tuple[int, int]:
    """10 ** exponent as a fraction of integers."""
    return (10**exponent, 1) if exponent >= 0 else (1, 10**-exponent)


def _scaled(mantissa: int, scale: tuple[int, int]) -> float:
    """The nearest double: the division of integers is rounded once, the same everywhere."""
    value: float = mantissa * scale[0] / scale[1]
    return value
