"""What is known of one event: the event itself, the last score and forecasts beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import msgspec

__all__ = [
    "KINDS",
    "Card",
    "Contribution",
    "Forecast",
    "Score",
    "Whale",
    "dump_card",
    "load_card",
    "reference_of",
    "with_forecasts",
    "with_score",
]

KINDS = ("whale", "liquidation", "signal", "forecast")
"""What a rule can ask for."""
MAX_FORECASTS = 8


@dataclass(frozen=True, slots=True)
class Whale:
    """A parent order as its newest revision tells it. Amounts are exact; impacts are
    (seconds after the last fill, basis points signed with the side).
    """

    revision: int
    kind: str
    side: str
    size: Decimal
    notional: Decimal
    vwap: Decimal
    threshold: Decimal
    percentile: float
    fills: int
    levels: int
    impacts: tuple[tuple[float, float], ...]
    is_closed: bool
    lower_bound: bool
    ts_first_fill: int
    ts_last_fill: int
    ts_known: int


@dataclass(frozen=True, slots=True)
class Contribution:
    """One layer's points of a score."""

    layer: str
    points: float
    reason: str


@dataclass(frozen=True, slots=True)
class Score:
    """A score with what it is made of."""

    id: str
    ts_event: int
    score: float
    confidence: float
    stance: str
    contributions: tuple[Contribution, ...]
    missing: tuple[str, ...]
    weights_version: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """An interval at a horizon; `direction` is up, down or abstain."""

    id: str
    horizon_ns: int
    ts_event: int
    reference: float
    median: float
    coverage: float
    lower: float
    upper: float
    direction: str
    abstain_reason: str
    model: str


@dataclass(frozen=True, slots=True)
class Card:
    """One event and what is known beside it. `ts_event` is when it first became known."""

    event_id: str
    kind: str
    venue: str
    instrument: str
    ts_event: int
    whale: Whale | None = None
    score: Score | None = None
    forecasts: tuple[Forecast, ...] = ()

    @property
    def ts_known(self) -> int:
        """Event time of the newest revision."""
        return self.whale.ts_known if self.whale is not None else self.ts_event


_decoder = msgspec.json.Decoder(Card)


def dump_card(card: Card) -> bytes:
    """Equal cards give equal bytes."""
    return msgspec.json.encode(card)


def load_card(raw: bytes) -> Card:
    return _decoder.decode(raw)


def reference_of(instrument: str) -> str:
    """The spot symbol whose score and forecasts speak of this instrument too."""
    return "-".join(instrument.split("-")[:2])


def with_score(card: Card, score: Score) -> Card:
    """The card with a better score: the first one that has seen all that is known of the event.

    One that already stands for it stays, so that a message is not edited with every tick.
    """
    known = card.score
    if known is not None and not known.ts_event < card.ts_known <= score.ts_event:
        return card
    return replace(card, score=score)


def with_forecasts(card: Card, latest: Mapping[int, Forecast] | Sequence[Forecast]) -> Card:
    """The card with better forecasts, by the same rule for each horizon."""
    offered = latest.values() if isinstance(latest, Mapping) else latest
    known = {forecast.horizon_ns: forecast for forecast in card.forecasts}
    for forecast in offered:
        held = known.get(forecast.horizon_ns)
        if held is None or held.ts_event < card.ts_known <= forecast.ts_event:
            known[forecast.horizon_ns] = forecast
    kept = tuple(known[horizon] for horizon in sorted(known)[:MAX_FORECASTS])
    return card if kept == card.forecasts else replace(card, forecasts=kept)
