"""How much each layer counts, and from which tick on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from teleglas_signal_scorer.domain.registry import NAMES

__all__ = ["FIRST", "TOTAL", "Weights", "WeightsBook", "WeightsError", "validated"]

TOTAL = 100.0
TOLERANCE = 1e-6


class WeightsError(ValueError):
    """Weights that cannot be."""


class Weights(msgspec.Struct, frozen=True):
    """One version. `layers` are (name, weight) in the registry's order; it is in force at ticks at
    or behind `ts_effective` (ns of event time) until a higher version is.
    """

    version: int
    layers: tuple[tuple[str, float], ...]
    ts_effective: int = 0
    changed_by: str = ""
    reason: str = ""


FIRST = Weights(
    1,
    (("technical", 40.0), ("cvd", 30.0), ("order_flow", 30.0)),
    0,
    "teleglas",
    "the weights that the project ships",
)


def validated(layers: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """The same in the registry's order; WeightsError unless every layer is named once with a
    finite weight from 0 to 100 and all of them make 100.

    Their sum from left to right is at most 100 exactly, so that no score can lie beyond it.
    """
    given = list(layers)
    names = [name for name, _ in given]
    if sorted(names) != sorted(NAMES):
        raise WeightsError(
            f"expected a weight for each of {', '.join(NAMES)},"
            f" was {', '.join(name[:64] for name in names[:16]) or 'none'}"
        )
    for name, weight in given:
        if not (math.isfinite(weight) and 0.0 <= weight <= TOTAL):
            raise WeightsError(f"expected a weight from 0 to 100, was {weight} for {name}")
    known = dict(given)
    total = math.fsum(known.values())
    if abs(total - TOTAL) > TOLERANCE:
        raise WeightsError(f"expected weights that make 100, they made {total}")
    values = [known[name] for name in NAMES]
    largest = values.index(max(values))
    while sum(values) > TOTAL:
        values[largest] = math.nextafter(values[largest], 0.0)
    return tuple(zip(NAMES, values, strict=True))


class WeightsBook:
    """All versions, so that each tick finds the one that was in force."""

    def __init__(self, versions: Iterable[Weights] = (FIRST,)) -> None:
        self._versions: dict[int, Weights] = {}
        self._by_version: Sequence[Weights] = ()
        self.learn(versions)

    @property
    def newest(self) -> int:
        """The highest version known."""
        return self._by_version[-1].version if self._by_version else 0

    def learn(self, versions: Iterable[Weights]) -> None:
        """Take versions in."""
        self._versions |= {one.version: one for one in versions}
        self._by_version = [self._versions[version] for version in sorted(self._versions)]

    def at(self, tick: int) -> Weights:
        """The version in force: the highest that is effective; LookupError where none is."""
        for weights in reversed(self._by_version):
            if weights.ts_effective <= tick:
                return weights
        raise LookupError(f"expected weights that are in force at {tick}, there are none")
