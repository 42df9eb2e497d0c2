"""The books of one shard. Their levels are not in the checkpoint: reading again from the last
snapshots rebuilds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from teleglas.market.v1.book_pb2 import BOOK_UPDATE_KIND_SNAPSHOT, BookUpdate
from teleglas_common.bus.ports import PoisonError
from teleglas_contracts import topics
from teleglas_market_data.adapters.messages import are_names
from teleglas_market_data.domain.book import Book, BookChange
from teleglas_market_data.domain.intervals import MINUTE_NS
from teleglas_market_data.live import LiveBook
from teleglas_market_data.ports import Market

__all__ = ["BookDesk"]

TOPIC = topics.MARKET_BOOKS_V1.name
FORGET_AFTER_NS = 5 * MINUTE_NS
"""A book without a snapshot for so long, of event time, does not hold the rewind back."""


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """Where the last snapshot of a book lies in the topic."""

    offset: int
    ts_event: int


@dataclass(slots=True)
class BookDesk:
    """Keeps every book and where to read again to rebuild it."""

    books: dict[Market, LiveBook] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    placed: dict[str, int] = field(default_factory=dict)
    """From when on the prices of each book hold: its last update's time, later if that was late or
    out of order.
    """
    _rewound_from: int = 0

    @property
    def is_rewinding(self) -> bool:
        """Whether records are read again that the checkpoint covers."""
        return self._rewound_from > 0

    def apply(self, update: BookUpdate, offset: int) -> bool:
        """Change a book; False when the update does not follow. Raises PoisonError."""
        _check(update)
        market = (update.venue, update.instrument)
        found = self.books.get(market)
        exponents = (update.price_exponent, update.size_exponent)
        is_snapshot = update.kind == BOOK_UPDATE_KIND_SNAPSHOT
        if found is None or (
            is_snapshot and exponents != (found.price_exponent, found.size_exponent)
        ):
            found = self.books[market] = LiveBook(Book(), *exponents)
        if is_snapshot:
            name = f"{update.venue}:{update.instrument}"
            self.snapshots[name] = Snapshot(offset, update.ts_event)
        return found.book.apply(
            BookChange(
                is_snapshot,
                update.book_epoch,
                update.sequence,
                update.prev_sequence,
                update.ts_event,
                zip(update.bid_prices, update.bid_sizes, strict=True),
                zip(update.ask_prices, update.ask_sizes, strict=True),
            )
        )

    def live(self, market: Market) -> LiveBook | None:
        """A book that is in sync."""
        found = self.books.get(market)
        return found if found is not None and found.book.is_synced else None

    def place(self, market: Market, at: int) -> None:
        """The last update holds from `at` on. What is read again was placed before the rewind."""
        if not self.is_rewinding:
            name = ":".join(market)
            self.placed[name] = max(at, self.placed.get(name, at))

    def holds_from(self, market: Market) -> int | None:
        """From when on the prices of a book hold."""
        return self.placed.get(":".join(market))

    def dump(self) -> bytes:
        """Where to read again."""
        newest = max((one.ts_event for one in self.snapshots.values()), default=0)
        self.snapshots = {
            name: one
            for name, one in sorted(self.snapshots.items())
            if one.ts_event >= newest - FORGET_AFTER_NS
        }
        return msgspec.msgpack.encode(self.snapshots)

    def load(self, state: bytes) -> None:
        """Take what `dump` gave."""
        self.snapshots = msgspec.msgpack.decode(state, type=dict[str, Snapshot])

    def rewound(self, offsets: Mapping[str, int]) -> dict[str, int]:
        """The offsets to start at: the books' topic goes back to the oldest snapshot needed."""
        rewound = dict(offsets)
        if TOPIC in rewound and self.snapshots:
            oldest = min(one.offset for one in self.snapshots.values())
            if oldest < rewound[TOPIC]:
                self._rewound_from, rewound[TOPIC] = rewound[TOPIC], oldest
        return rewound

    def covered(self, offsets: Mapping[str, int]) -> dict[str, int]:
        """The offsets to store: a rewind does not take back what an earlier checkpoint covers, or a
        crash during it would count its records as new.
        """
        covered = dict(offsets)
        if TOPIC in covered:
            covered[TOPIC] = max(covered[TOPIC], self._rewound_from)
        return covered

    def read(self, offset: int) -> bool:
        """A record was read; True when no rewind goes on (any more)."""
        if self._rewound_from and offset + 1 >= self._rewound_from:
            self._rewound_from = 0
        return not self._rewound_from


def _check(update: BookUpdate) -> None:
    about = f"({update.venue} {update.instrument} sequence {update.sequence})"
    if not are_names(update.venue, update.instrument):
        raise PoisonError("incomplete_book", f"expected a venue and an instrument {about}")
    sides = (
        ("bid", update.bid_prices, update.bid_sizes),
        ("ask", update.ask_prices, update.ask_sizes),
    )
    for side, prices, sizes in sides:
        if len(prices) != len(sizes):
            raise PoisonError(
                "uneven_book",
                f"expected as many {side} sizes as prices, were {len(sizes)} and {len(prices)}"
                f" {about}",
            )
        if prices and (min(prices) <= 0 or min(sizes) < 0):
            raise PoisonError(
                "impossible_book",
                f"expected {side} prices above 0 and sizes of 0 or more, were {min(prices)} and"
                f" {min(sizes)} {about}",
            )
