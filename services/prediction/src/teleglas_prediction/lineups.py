"""Which models there are: the random walk always, and what the registry on disk holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from teleglas_prediction.domain.horizons import HORIZONS
from teleglas_prediction.domain.models import RANDOM_WALK, Model, RandomWalk
from teleglas_prediction.domain.series import Lineup

__all__ = ["KnownModel", "Lineups"]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A trained model with what the registry says of it."""

    model: Model
    horizon_ns: int
    features: tuple[str, ...]
    ts_data_from: int
    ts_data_to: int
    training_data_sha256: str
    metrics: dict[str, float]
    beats_walk: bool


@dataclass(slots=True)
class Lineups:
    """For each horizon the random walk and the newest trained model, if there is one."""

    trained: Sequence[KnownModel] = ()
    refusals: Sequence[tuple[str, str]] = ()
    """Files of the registry that were refused, with the cause."""
    by_horizon: dict[int, Lineup] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_horizon = {one.length_ns: self._lineup(one.length_ns) for one in HORIZONS}

    def known(self, horizon_ns: int) -> KnownModel | None:
        """The trained model of a horizon: the one whose data reach furthest."""
        fitting = [one for one in self.trained if one.horizon_ns == horizon_ns]
        return max(fitting, key=lambda one: (one.ts_data_to, one.model.version), default=None)

    def _lineup(self, horizon_ns: int) -> Lineup:
        known = self.known(horizon_ns)
        if known is None:
            return Lineup((RandomWalk(),))
        champion = known.model.name if known.beats_walk else RANDOM_WALK
        return Lineup((RandomWalk(), known.model), champion)
