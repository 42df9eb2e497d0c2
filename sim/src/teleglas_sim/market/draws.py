"""Random numbers drawn in blocks: one numpy call in thousands instead of one a draw."""

import numpy as np
from numpy.random import Generator, SeedSequence

from teleglas_sim.market.measured import PROBABILITIES, SizeTable

__all__ = ["Draws", "SizeDraws", "Vector", "generator"]

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]

BLOCK = 4096


def generator(seed: int, *path: int) -> Generator:
    """An independent source for each `path` of one seed."""
    return np.random.default_rng(SeedSequence(entropy=seed, spawn_key=path))


class Draws:
    """Uniform and normal numbers of one source."""

    def __init__(self, source: Generator) -> None:
        self._source = source
        self._uniform: list[float] = []
        self._normal: list[float] = []

    def uniform(self) -> float:
        """In [0, 1)."""
        if not self._uniform:
            self._uniform = self._source.random(BLOCK).tolist()
        return self._uniform.pop()

    def normal(self) -> float:
        """Mean 0, deviation 1."""
        if not self._normal:
            self._normal = self._source.standard_normal(BLOCK).tolist()
        return self._normal.pop()

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.uniform()

    def below(self, count: int) -> int:
        """An integer in [0, count)."""
        return int(self.uniform() * count)


class SizeDraws:
    """Taker orders' notional (USD) and number of fills from a measured table."""

    def __init__(self, source: Generator, table: SizeTable, scale: float) -> None:
        self._source = source
        self._table = table
        self._logs = np.log(np.asarray(table.notional_usd) * scale)
        self._block: list[tuple[float, int]] = []

    def draw(self) -> tuple[float, int]:
        """`(notional, fills)` of one ordinary order."""
        if not self._block:
            self._block = self._fill(self._source.random(BLOCK))
        return self._block.pop()

    def quantile(self, probability: float) -> float:
        """The notional that this share of ordinary orders stays below."""
        return float(np.exp(np.interp(probability, PROBABILITIES, self._logs)))

    def _fill(self, ranks: Vector) -> list[tuple[float, int]]:
        notionals = np.exp(np.interp(ranks, PROBABILITIES, self._logs))
        bands = np.asarray(self._table.fills)
        band = np.minimum(np.searchsorted(bands[:, 0], ranks), len(bands) - 1)
        single, mean = bands[band, 1], bands[band, 2]
        extra_mean = np.maximum((mean - 1.0) / np.maximum(1.0 - single, 1e-9), 1.0)
        extra = self._source.geometric(1.0 / extra_mean)
        fills = np.where(self._source.random(len(ranks)) < single, 1, 1 + extra)
        return list(zip(notionals.tolist(), fills.tolist(), strict=True))
