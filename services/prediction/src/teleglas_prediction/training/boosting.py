"""Grows forests with xgboost and hands them over as plain arrays."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xgboost

from teleglas_prediction.adapters.registry import PackedTrees
from teleglas_prediction.domain.bars import Floats

__all__ = ["Forests", "fit", "packed"]

SHIFT_ROUNDS, SPREAD_ROUNDS = 15, 80
COMMON = {
    "max_depth": 4,
    "eta": 0.05,
    "subsample": 0.7,
    "colsample_bytree": 0.7,
    "tree_method": "hist",
    "nthread": 1,
    "seed": 1,
    "verbosity": 0,
}
SHIFT = {
    **COMMON,
    "objective": "reg:squarederror",
    "base_score": 0.0,
    "min_child_weight": 500.0,
    "lambda": 200.0,
}
"""Held back hard: of a median there is little to learn, and much noise to learn by heart."""
SPREAD = {
    **COMMON,
    "objective": "reg:gamma",
    "base_score": 1.0,
    "min_child_weight": 50.0,
    "lambda": 20.0,
}
"""Gamma deviance of absolute errors is the loss that ranks volatility forecasts (Patton, 2011)."""
OUTLIER = 4.0
LEAST = 1e-3


class Forests:
    """The two boosters of one model."""

    def __init__(self, shift: xgboost.Booster, spread: xgboost.Booster) -> None:
        self.shift = shift
        self.spread = spread


def fit(matrix: Floats, scores: Floats) -> Forests:
    """`scores` are moves in units of the random walk's scale; equal rows give equal forests."""
    rows = matrix.astype(np.float32)
    shift = xgboost.DMatrix(rows, label=np.clip(scores, -OUTLIER, OUTLIER))
    spread = xgboost.DMatrix(rows, label=np.clip(np.abs(scores), LEAST, 2 * OUTLIER))
    return Forests(
        xgboost.train(SHIFT, shift, SHIFT_ROUNDS),
        xgboost.train(SPREAD, spread, SPREAD_ROUNDS),
    )


def packed(booster: xgboost.Booster) -> PackedTrees:
    """The trees of a booster without a base score, all nodes one after the other."""
    model: dict[str, Any] = json.loads(bytes(booster.save_raw("json")))
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    found = PackedTrees([], [], [], [], [])
    for tree in trees:
        begin = len(found.feature)
        found.roots.append(begin)
        found.feature.extend(tree["split_indices"])
        found.threshold.extend(tree["split_conditions"])
        for ours, theirs in ((found.left, "left_children"), (found.right, "right_children")):
            ours.extend(child if child < 0 else child + begin for child in tree[theirs])
    return found
