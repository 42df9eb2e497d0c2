"""From a view to a score with its receipt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from teleglas_signal_scorer.domain.layer import Fact, Layer, Reading, View
from teleglas_signal_scorer.domain.registry import LAYERS
from teleglas_signal_scorer.domain.stance import next_stance
from teleglas_signal_scorer.domain.weights import Weights

__all__ = ["Contribution", "Score", "contribution", "score_id", "score_of", "summed"]


@dataclass(frozen=True, slots=True)
class Contribution:
    """One layer's part: `points` = reading x weight x confidence."""

    layer: str
    points: float
    reading: float
    weight: float
    confidence: float
    facts: tuple[Fact, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one instrument at one tick (ns), with its receipt. `price` is the last close
    that was known, `completeness` that of the newest base bar.
    """

    instrument: str
    tick: int
    score: float
    confidence: float
    stance: str
    contributions: tuple[Contribution, ...]
    weights_version: int
    missing: tuple[str, ...]
    completeness: float
    price: float

    @property
    def id(self) -> str:
        return score_id(self.instrument, self.tick, self.weights_version)


def score_id(instrument: str, tick: int, weights_version: int) -> str:
    """The same in every replay."""
    return f"{instrument}:{tick}:{weights_version}"


def contribution(layer: str, reading: Reading, weight: float) -> Contribution:
    """What a reading adds under a weight."""
    points = reading.value * weight * reading.confidence
    return Contribution(
        layer, points, reading.value, weight, reading.confidence, reading.facts, reading.reason
    )


def summed(contributions: Iterable[Contribution]) -> float:
    """The score: the plain sum of the stored points in their order, so that whoever adds them up
    again gets the same double.
    """
    total = 0.0
    for one in contributions:
        total += one.points
    return total


def score_of(
    instrument: str, view: View, weights: Weights, stance: str, layers: Sequence[Layer] = LAYERS
) -> Score:
    """Read every layer and weigh it. The view must hold at least one base bar."""
    newest = view.base.newest
    if newest is None:
        raise ValueError(f"expected a closed base bar of {instrument} at {view.tick}")
    of = dict(weights.layers)
    parts: list[Contribution] = []
    missing: list[str] = []
    trusted = whole = 0.0
    for layer in layers:
        reading = layer.read(view)
        weight = of.get(layer.name, 0.0)
        parts.append(contribution(layer.name, reading, weight))
        missing += [name for name in reading.missing if name not in missing]
        trusted += weight * reading.confidence
        whole += weight
    score = summed(parts)
    last = view.seconds[-1] if view.seconds else newest
    return Score(
        instrument,
        view.tick,
        score,
        min(1.0, trusted / whole) if whole > 0 else 0.0,
        next_stance(stance, score),
        tuple(parts),
        weights.version,
        tuple(missing),
        newest.completeness,
        last.close if last.ts_close >= newest.ts_close else newest.close,
    )
