"""What a layer is: a pure function from what is known at a tick to a reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from teleglas_signal_scorer.domain.bars import Bar, Series
from teleglas_signal_scorer.domain.intervals import Ladder
from teleglas_signal_scorer.domain.whales import Whale

__all__ = ["Fact", "Layer", "Memo", "Reading", "View", "nothing", "squash"]

Memo = dict[str, tuple[int, object]]
"""What layers computed from bars, by name, with the version of the series that it came from."""


class Fact(NamedTuple):
    """A named number that a layer read, and the event time that it is of."""

    name: str
    value: float
    ts_event: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a layer says: `value` from -1 to 1, `confidence` from 0 to 1, what was `missing`, and
    `reason` where it is not whole.
    """

    value: float
    confidence: float
    facts: tuple[Fact, ...] = ()
    missing: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """All that is known of one instrument at a tick (ns): closed bars that ended at or before it,
    seconds likewise, whales known by then. `absent` names inputs that had not come so far.
    """

    tick: int
    ladder: Ladder
    series: Mapping[str, Series]
    seconds: Sequence[Bar]
    whales: Sequence[Whale]
    absent: tuple[str, ...] = ()
    memo: Memo = field(default_factory=dict)

    @property
    def base(self) -> Series:
        return self.series[self.ladder.base.name]


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of the registry. `inputs` name what it reads, `warm_up` how many closed bars of each
    interval it needs for full confidence, `stale_after_ns` how old the newest trade may be.
    """

    name: str
    inputs: tuple[str, ...]
    warm_up: int
    stale_after_ns: int
    read: Callable[[View], Reading]


def nothing(missing: str, reason: str) -> Reading:
    """The reading of a layer that has nothing to go by."""
    return Reading(0.0, 0.0, (), (missing,), reason)


def squash(value: float) -> float:
    """Any number into (-1, 1), by arithmetic that is the same on every machine."""
    return value / (1.0 + abs(value))
