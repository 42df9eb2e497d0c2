"""What a step of the market produced, in the order in which a venue would publish it."""

from dataclasses import dataclass, field

from teleglas_sim.market.book import BookDiff, Side

__all__ = [
    "BookChanged",
    "Event",
    "Execution",
    "Fill",
    "Liquidated",
    "ParentClosed",
    "ParentOrder",
    "Print",
    "TopChanged",
]

# id, price, size; size 0 is an id that was spent without a published fill
Fill = tuple[int, int, int]


@dataclass(slots=True)
class ParentOrder:
    """Somebody's intention, and what came of it: the ground truth of whale detection.

    `fills` are ranges of trade ids, first and last included. `notional` is the exact sum of
    price times size in the instrument's integers; for an inverse contract the sum of sizes.
    """

    id: str
    instrument: int
    side: Side
    kind: str
    planted: bool
    start_ms: int
    group: str | None = None
    wanted: int = 0
    end_ms: int = 0
    size: int = 0
    notional: int = 0
    children: int = 0
    fill_count: int = 0
    price_before: int = 0
    price_worst: int = 0
    fills: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Execution:
    """One taker order's fills, with consecutive ids; each price is one aggregate trade."""

    instrument: int
    side: Side
    ts_ms: int
    fills: list[Fill]
    first_aggregate: int
    version: int


@dataclass(frozen=True, slots=True)
class Print:
    """A published id that is no market trade: `INSURANCE_FUND`."""

    instrument: int
    side: Side
    ts_ms: int
    id: int
    price: int
    size: int
    kind: str


@dataclass(frozen=True, slots=True)
class TopChanged:
    """The best levels after an order or a maker's change."""

    instrument: int
    ts_ms: int
    version: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int


@dataclass(frozen=True, slots=True)
class BookChanged:
    """The diff of the last 100 ms."""

    instrument: int
    ts_ms: int
    diff: BookDiff


@dataclass(frozen=True, slots=True)
class Liquidated:
    """A liquidation order as it happened; venues publish only some of these."""

    instrument: int
    side: Side
    ts_ms: int
    size: int
    price: int
    average: int
    filled: int


@dataclass(frozen=True, slots=True)
class ParentClosed:
    """A parent order is done."""

    parent: ParentOrder


Event = Execution | Print | TopChanged | BookChanged | Liquidated | ParentClosed
