"""How many orders arrive in each step: a clustered (Hawkes) process per instrument, stepped
together.
"""

import numpy as np
from numpy.random import Generator

from teleglas_sim.market.draws import Vector
from teleglas_sim.market.measured import ARRIVALS, ArrivalShape

__all__ = ["Arrivals"]

RATE_MEMORY_S = 5.0
BUSIEST = 8.0


class Arrivals:
    """`orders_per_s` is the long-run mean per instrument; `scale` may be moved while it runs."""

    def __init__(
        self,
        source: Generator,
        orders_per_s: Vector,
        *,
        step_s: float,
        shape: ArrivalShape = ARRIVALS,
    ) -> None:
        self._source = source
        self._step_s = step_s
        self._shape = shape
        branching = sum(shape.excite)
        self._base = orders_per_s * (1.0 - branching) * (1.0 - shape.follow)
        share = np.asarray(shape.excite)[:, None] / (1.0 - branching)
        self._excited = self._base * share
        memory = np.asarray(shape.memory_s)
        self._decay = np.exp(-step_s / memory)[:, None]
        # A cluster adds `excite` expected clusters in all: later rates times step, summed.
        self._gain = (np.asarray(shape.excite) * (1.0 - self._decay[:, 0]) / step_s)[:, None]
        self.scale = 1.0

    def step(self, activity: float) -> list[int]:
        """Heads of clusters per instrument in this step."""
        base = self._base * (self.scale * min(activity, BUSIEST))
        rate = base + self._excited.sum(axis=0)
        heads = self._source.poisson(rate * self._step_s)
        self._excited *= self._decay
        self._excited += self._gain * heads
        counts: list[int] = heads.tolist()
        return counts
