"""An order book of integer prices and sizes that remembers what changed since it was last asked."""

from bisect import bisect_left, insort
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Book", "BookDiff", "BookSide", "Side"]


class Side(IntEnum):
    """Of a taker, or of a book: bids are +1."""

    BUY = 1
    SELL = -1

    @property
    def opposite(self) -> "Side":
        """The other one."""
        return Side.SELL if self is Side.BUY else Side.BUY


class BookSide:
    """One side; `keys` holds price times `sign`, ascending: the best is the last of both."""

    __slots__ = ("changed", "keys", "sign", "sizes")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.sizes: dict[int, int] = {}
        self.changed: set[int] = set()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def best(self) -> int:
        """Best price; an empty side has none."""
        return self.keys[-1] * self.sign

    @property
    def worst(self) -> int:
        """The price furthest from the touch."""
        return self.keys[0] * self.sign

    def put(self, price: int, size: int) -> None:
        """Set a level's absolute size; 0 removes it."""
        sizes = self.sizes
        self.changed.add(price)
        if size > 0:
            if price not in sizes:
                insort(self.keys, price * self.sign)
            sizes[price] = size
        elif sizes.pop(price, None) is not None:
            key = price * self.sign
            del self.keys[bisect_left(self.keys, key)]

    def take(self, size: int, limit: int, spare_levels: int) -> list[tuple[int, int]]:
        """Consume up to `size` from the best level on, not past price `limit`.

        The last `spare_levels` stay untouched, so that a side never runs empty. Gives
        `(price, size)` per level.
        """
        taken: list[tuple[int, int]] = []
        keys, sizes, changed, sign = self.keys, self.sizes, self.changed, self.sign
        last = limit * sign
        while size > 0 and len(keys) > spare_levels and keys[-1] >= last:
            price = keys[-1] * sign
            there = sizes[price]
            changed.add(price)
            if there > size:
                sizes[price] = there - size
                taken.append((price, size))
                break
            keys.pop()
            del sizes[price]
            taken.append((price, there))
            size -= there
        return taken

    def levels(self, count: int) -> list[tuple[int, int]]:
        """The best `count` levels, best first."""
        sign, sizes = self.sign, self.sizes
        return [(key * sign, sizes[key * sign]) for key in self.keys[: -count - 1 : -1]]

    def take_changes(self) -> list[tuple[int, int]]:
        """`(price, absolute size)` of the levels touched since the last call, best first; 0
        is gone.
        """
        sizes = self.sizes
        changes = [(p, sizes.get(p, 0)) for p in sorted(self.changed, reverse=self.sign > 0)]
        self.changed.clear()
        return changes


@dataclass(frozen=True, slots=True)
class BookDiff:
    """Versions `first` to `last` in absolute sizes; `previous` is the diff before's last."""

    first: int
    last: int
    previous: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class Book:
    """Both sides. `version` counts changes of levels."""

    __slots__ = ("asks", "bids", "published", "version")

    def __init__(self) -> None:
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self.version = 0
        self.published = 0

    def side(self, side: Side) -> BookSide:
        """The side where orders of `side` rest."""
        return self.bids if side is Side.BUY else self.asks

    def put(self, side: BookSide, price: int, size: int) -> None:
        """Set a level and count the change."""
        side.put(price, size)
        self.version += 1

    def take(self, taker: Side, size: int, limit: int, spare_levels: int) -> list[tuple[int, int]]:
        """Let a taker consume the other side."""
        side = self.asks if taker is Side.BUY else self.bids
        taken = side.take(size, limit, spare_levels)
        self.version += len(taken)
        return taken

    def top(self) -> tuple[int, int, int, int]:
        """Best bid, its size, best ask, its size."""
        bid, ask = self.bids.best, self.asks.best
        return bid, self.bids.sizes[bid], ask, self.asks.sizes[ask]

    def diff(self) -> BookDiff | None:
        """What changed since the last call, or None."""
        if self.version == self.published:
            return None
        previous, self.published = self.published, self.version
        bids, asks = self.bids.take_changes(), self.asks.take_changes()
        return BookDiff(previous + 1, self.version, previous, bids, asks)
