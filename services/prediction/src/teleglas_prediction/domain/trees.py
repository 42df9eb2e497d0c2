"""Boosted trees as arrays: what xgboost has grown, evaluated without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from teleglas_prediction.domain.bars import Floats

__all__ = ["MAX_DEPTH", "Trees", "TreesError"]

MAX_DEPTH = 12
Ints = npt.NDArray[np.int32]
Singles = npt.NDArray[np.float32]


class TreesError(ValueError):
    """These arrays are not trees."""


@dataclass(frozen=True, slots=True)
class Trees:
    """All nodes of all trees one after the other. A leaf is its own child, so that a walk of
    `depth` steps ends in it; `value` is a leaf's weight.
    """

    roots: Ints
    feature: Ints
    threshold: Singles
    left: Ints
    right: Ints
    value: Singles
    depth: int

    @classmethod
    def of(
        cls,
        roots: Sequence[int],
        feature: Sequence[int],
        threshold: Sequence[float],
        left: Sequence[int],
        right: Sequence[int],
        *,
        features: int,
    ) -> Trees:
        """Arrays as xgboost writes them: `left` and `right` are positions among all nodes, -1 in a
        leaf, whose threshold is its weight. Raises TreesError for what is not a forest.
        """
        count = len(feature)
        if not (0 < count == len(threshold) == len(left) == len(right)) or not roots:
            raise TreesError(f"expected as many children and thresholds as nodes, {count}")
        one, other = np.array(left, dtype=np.int64), np.array(right, dtype=np.int64)
        here = np.arange(count)
        leaf = one < 0
        inner = ~leaf
        if (other[leaf] >= 0).any() or (other[inner] < 0).any():
            raise TreesError("expected two children or none of every node")
        if (one[inner] <= here[inner]).any() or (other[inner] <= here[inner]).any():
            raise TreesError("expected children behind their parent")
        if max(int(one.max()), int(other.max()), *roots) >= count or min(roots) < 0:
            raise TreesError(f"expected positions below {count}")
        split = np.array(feature, dtype=np.int64)
        if (split[inner] < 0).any() or (split[inner] >= features).any():
            raise TreesError(f"expected features below {features}")
        limits = np.array(threshold, dtype=np.float32)
        if not np.isfinite(limits).all():
            raise TreesError("expected finite thresholds and weights")
        found = cls(
            np.array(roots, dtype=np.int32),
            np.where(leaf, 0, split).astype(np.int32),
            limits,
            np.where(leaf, here, one).astype(np.int32),
            np.where(leaf, here, other).astype(np.int32),
            np.where(leaf, limits, np.float32(0)).astype(np.float32),
            _depth(one, other, roots),
        )
        if found.depth > MAX_DEPTH:
            raise TreesError(f"expected trees of at most {MAX_DEPTH} levels, were {found.depth}")
        return found

    def predict(self, matrix: Floats) -> Floats:
        """The sum of all trees for each row; xgboost compares in float32, so this does."""
        rows = np.atleast_2d(matrix).astype(np.float32)
        at = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        line = np.arange(len(rows))[:, None]
        for _ in range(self.depth):
            below = rows[line, self.feature[at]] < self.threshold[at]
            at = np.where(below, self.left[at], self.right[at])
        total: Floats = self.value[at].sum(axis=1, dtype=np.float64)
        return total


def _depth(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], roots: Sequence[int]) -> int:
    """Steps from a root to the deepest leaf; children stand behind their parents."""
    level = np.zeros(len(left), dtype=np.int64)
    level[list(roots)] = 0
    for at in range(len(left)):
        if left[at] >= 0:
            for child in (left[at], right[at]):
                level[child] = max(level[child], level[at] + 1)
    return int(level.max())
