"""Every model of every horizon with what is known of it: walk-forward, live, warm-up."""

from __future__ import annotations

from collections.abc import Sequence

from teleglas.prediction.v1.prediction_pb2 import Metric, Model
from teleglas_prediction.counts import pooled
from teleglas_prediction.domain.horizons import HORIZONS, SETTLED_BARS, Horizon
from teleglas_prediction.domain.models import Model as DomainModel
from teleglas_prediction.domain.series import Series
from teleglas_prediction.lineups import Lineups

__all__ = ["list_models"]


def list_models(lineups: Lineups, every: Sequence[Series]) -> list[Model]:
    """One message a model and horizon. `walk_forward_` metrics are those of the registry, `live_`
    ones are means over the instruments here, `warm_up` is the share of the bars that it wants.
    """
    return [
        _message(lineups, horizon, model, every)
        for horizon in HORIZONS
        for model in lineups.by_horizon[horizon.length_ns].models
    ]


def _message(
    lineups: Lineups, horizon: Horizon, model: DomainModel, every: Sequence[Series]
) -> Model:
    lineup = lineups.by_horizon[horizon.length_ns]
    message = Model(
        name=model.name,
        version=model.version,
        horizon_ns=horizon.length_ns,
        champion=model.name == lineup.champion,
    )
    known = lineups.known(horizon.length_ns)
    values: dict[str, float] = {}
    if known is not None and known.model is model:
        message.features.extend(known.features)
        message.ts_data_from, message.ts_data_to = known.ts_data_from, known.ts_data_to
        message.training_data_sha256 = known.training_data_sha256
        values |= {f"walk_forward_{name}": value for name, value in known.metrics.items()}
    values |= _live(horizon, model, every)
    message.metrics.extend(Metric(name=name, value=value) for name, value in sorted(values.items()))
    return message


def _live(horizon: Horizon, model: DomainModel, every: Sequence[Series]) -> dict[str, float]:
    here = [series for series in every if series.interval == horizon.interval]
    if not here:
        return {}
    needed = max(SETTLED_BARS, model.needs_bars)
    shares = [min(1.0, len(series.window) / needed) for series in here]
    values = {"warm_up": sum(shares) / len(shares)}
    key = (horizon.length_ns, model.name, model.version)
    skill = pooled(one.standings[key].skill for one in here if key in one.standings)
    if skill is not None:
        values |= {
            "live_resolved": float(skill.resolved),
            "live_coverage_90": skill.covered,
            "live_width_90": skill.width,
            "live_pinball_loss": skill.loss,
            "live_skill": skill.over_walk,
            "live_median_skill": skill.median_over_walk,
        }
    return values
