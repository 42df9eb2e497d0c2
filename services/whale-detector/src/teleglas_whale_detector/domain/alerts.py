"""What is said of a whale, and when each part of it becomes known."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from teleglas_whale_detector.domain.parents import SECOND_NS, Parent
from teleglas_whale_detector.domain.quotes import GRACE_NS, HORIZONS_NS

__all__ = ["CLOSE_GAP_NS", "FINAL_NS", "Alert", "Kind", "Scales", "Stage", "alert_id", "kind_of"]

CLOSE_GAP_NS = SECOND_NS // 5
"""A taker order is over when its instrument's time has moved on by this much."""
FINAL_NS = HORIZONS_NS[-1] + GRACE_NS
"""After the last fill: every impact is known."""
_ODD_CHARACTERS = str.maketrans({"\0": "?"})


class Kind(IntEnum):
    """As `WhaleKind` on the wire."""

    SWEEP = 1
    BLOCK = 2
    SLICED = 3
    CASCADE = 4


class Stage(IntEnum):
    """Which revision of an alert: when it crossed, closed, and when all impacts were known."""

    CROSSED = 0
    CLOSED = 1
    FINAL = 2


@dataclass(slots=True)
class Scales:
    """The finest exponents seen: numbers of coarser batches are scaled up to them."""

    price: int = 0
    size: int = 0
    known: bool = False

    def take(self, price: int, size: int) -> tuple[int, int]:
        """Go over to these exponents where they are finer; by which factors all values grow."""
        if not self.known:
            self.price, self.size, self.known = price, size, True
            return 1, 1
        finer_price, finer_size = min(self.price, price), min(self.size, size)
        factors = 10 ** (self.price - finer_price), 10 ** (self.size - finer_size)
        self.price, self.size = finer_price, finer_size
        return factors

    @property
    def quote(self) -> int:
        return self.price + self.size

    @property
    def unit(self) -> float:
        """Quote units of one scaled notional."""
        return float(10.0**self.quote)


@dataclass(slots=True)
class Alert:
    """One whale as far as it is known. `parent` grows until it closes; numbers are in the scales of
    the instrument.
    """

    id: str
    kind: Kind
    parent: Parent
    threshold: int
    percentile: float
    stage: Stage
    ts_event: int
    price_exponent: int
    size_exponent: int
    lower_bound: bool = False
    impacts: dict[int, float] = field(default_factory=dict)
    depth_share: float | None = None
    books_missing: bool = False


def alert_id(venue: str, instrument: str, side: int, first: str, version: int) -> str:
    """The same in every run: the first fill names the parent order."""
    side_name = "buy" if side == 1 else "sell"
    return f"{venue}:{instrument}:{side_name}:{first.translate(_ODD_CHARACTERS)}:{version}"


def kind_of(parent: Parent) -> Kind:
    """One price is a block, several are a sweep, several orders a sliced parent."""
    if parent.orders > 1:
        return Kind.SLICED
    return Kind.BLOCK if parent.levels <= 1 else Kind.SWEEP
