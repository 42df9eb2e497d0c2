"""Train boosted models from candle files: `python -m teleglas_prediction.train`.

For each horizon whose bars the files hold: walk-forward, purged and embargoed, says what the model
is worth; then it is trained on everything and written into the registry with those metrics.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from teleglas_prediction.adapters.registry import Body, save_model
from teleglas_prediction.domain.features import FEATURES
from teleglas_prediction.domain.horizons import BY_NS, HORIZONS, Horizon
from teleglas_prediction.training.boosting import fit, packed
from teleglas_prediction.training.candle_files import Bars, CandleFileError, read_bars, sha256_of
from teleglas_prediction.training.examples import Examples, examples_of, feature_table, joined
from teleglas_prediction.training.folds import folds_of
from teleglas_prediction.training.leaks import LeakError, check_folds, leaking_features
from teleglas_prediction.training.walk_forward import (
    blocked_t,
    boosted_outlook,
    calibrated,
    skill,
)

__all__ = ["main", "trained"]

FOLDS = 6


def trained(files: dict[Path, list[Bars]], horizon: Horizon) -> Body:
    """The model of one horizon; raises LeakError where a feature or a fold knows the future."""
    for bars in files.values():
        leaking = leaking_features(bars[0].until(2_000), feature_table)
        if leaking:
            raise LeakError(f"expected features of the past, {', '.join(leaking)} look ahead")
    examples = joined(
        [examples_of(bars, horizon, part) for part, bars in enumerate(files.values())]
    )
    metrics = _measured(examples, horizon)
    forests = fit(examples.matrix, examples.moved / examples.scale)
    return Body(
        "boosted",
        horizon.length_ns,
        horizon.interval,
        list(FEATURES),
        int(examples.ts_event.min()),
        int(examples.ts_event.max()) + horizon.length_ns,
        sha256_of(list(files)),
        metrics,
        packed(forests.shift),
        packed(forests.spread),
    )


def _measured(examples: Examples, horizon: Horizon) -> dict[str, float]:
    folds = folds_of(examples.ts_event, horizon.length_ns, FOLDS)
    if not folds:
        raise ValueError(f"expected candles for {FOLDS} folds of {horizon.name}, were too few")
    check_folds(folds, examples, horizon.length_ns)
    at, median, scale = boosted_outlook(examples, folds, horizon)
    ours = calibrated(examples, at, median, scale, horizon)
    walk = calibrated(examples, at, np.zeros(len(at)), examples.scale[at], horizon)
    ts_event = examples.ts_event[at]
    return {
        "forecasts": float(len(at)),
        "coverage_90": float(ours.covered.mean()),
        "width_90": float(ours.width.mean()),
        "pinball_loss": float(ours.loss.mean()),
        "skill": skill(ours.loss, walk.loss),
        "skill_t": blocked_t(ts_event, walk.loss - ours.loss, horizon.length_ns),
        "median_skill": skill(ours.error, walk.error),
        "median_skill_t": blocked_t(ts_event, walk.error - ours.error, horizon.length_ns),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="teleglas_prediction.train", description=__doc__)
    parser.add_argument("--candles", nargs="+", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="REGISTRY")
    names = [horizon.name for horizon in HORIZONS]
    parser.add_argument("--horizon", action="append", choices=names, help="default: all")
    asked = parser.parse_args(argv)
    try:
        files = {path: read_bars(path) for path in asked.candles}
        written = _write(files, asked.out, asked.horizon or names)
    except (CandleFileError, LeakError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not written:
        intervals = ", ".join(dict.fromkeys(horizon.interval for horizon in HORIZONS))
        sys.stderr.write(f"expected candles of {intervals}, no file has such\n")
        return 1
    return 0


def _write(files: dict[Path, list[Bars]], out: Path, names: Sequence[str]) -> int:
    written = 0
    for horizon in BY_NS.values():
        fitting = {
            path: bars
            for path, bars in files.items()
            if bars[0].interval_ns == horizon.interval_ns and horizon.name in names
        }
        if not fitting:
            continue
        body = trained(fitting, horizon)
        path = save_model(out, body)
        shown = "  ".join(f"{name} {value:.5g}" for name, value in body.metrics.items())
        sys.stdout.write(f"{path.name}  {shown}\n")
        written += 1
    return written


if __name__ == "__main__":
    sys.exit(main())
