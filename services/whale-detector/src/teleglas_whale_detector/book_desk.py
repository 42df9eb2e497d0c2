"""The books of one partition. Their levels are not in the state: reading again from a snapshot
rebuilds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from teleglas.market.v1.book_pb2 import BOOK_UPDATE_KIND_SNAPSHOT, BookUpdate
from teleglas_common.bus.ports import PoisonError
from teleglas_whale_detector.adapters.messages import check_exponents, check_names
from teleglas_whale_detector.domain.book import Book
from teleglas_whale_detector.domain.parents import SECOND_NS
from teleglas_whale_detector.domain.quotes import Quotes, reach_of
from teleglas_whale_detector.ports import Market

__all__ = ["BookDesk"]

KEPT_SNAPSHOTS = 16
FORGET_AFTER_NS = 300 * SECOND_NS


@dataclass(slots=True)
class BookDesk:
    """Every book, its best prices over time, and where its last snapshots lie in the topic."""

    books: dict[Market, Book] = field(default_factory=dict)
    quotes: dict[Market, Quotes] = field(default_factory=dict)
    snapshots: dict[Market, list[tuple[int, int]]] = field(default_factory=dict)
    """`(offset, ts_event)`, oldest first."""
    scales: dict[Market, tuple[int, int]] = field(default_factory=dict)

    def apply(self, update: BookUpdate, offset: int) -> bool:
        """Change a book; False when the update does not follow. Raises PoisonError."""
        _check(update)
        market = (update.venue, update.instrument)
        book = self.books.setdefault(market, Book())
        quotes = self.quotes.setdefault(market, Quotes())
        ts, scales = update.ts_event, (update.price_exponent, update.size_exponent)
        if self.scales.setdefault(market, scales) != scales:
            book = self.books[market] = Book()
            self.scales[market] = scales
        self._note_depth(book, quotes, ts, update.size_exponent)
        bids = zip(update.bid_prices, update.bid_sizes, strict=True)
        asks = zip(update.ask_prices, update.ask_sizes, strict=True)
        follows = True
        if update.kind == BOOK_UPDATE_KIND_SNAPSHOT:
            places = self.snapshots.setdefault(market, [])
            places.append((offset, ts))
            del places[:-KEPT_SNAPSHOTS]
            book.replace(update.book_epoch, update.sequence, bids, asks)
        else:
            span = (update.prev_sequence, update.sequence)
            follows = book.change(update.book_epoch, span, bids, asks)
        top = book.top()
        if top is not None and ts > 0:
            unit = 10.0**update.price_exponent
            quotes.note(ts, top[0] * unit, top[1] * unit)
        return follows

    def rewind_to(self, needed: Mapping[Market, int]) -> int | None:
        """The offset to read again from, so that each market has its prices from `needed` on."""
        offsets: list[int] = []
        newest = max((places[-1][1] for places in self.snapshots.values()), default=0)
        for market, places in self.snapshots.items():
            if places[-1][1] < newest - FORGET_AFTER_NS:
                continue
            since = needed.get(market, newest)
            before = [offset for offset, ts in places if ts < since]
            offsets.append(before[-1] if before else places[0][0])
        return min(offsets, default=None)

    def _note_depth(self, book: Book, quotes: Quotes, ts: int, size_exponent: int) -> None:
        """Once a second of event time: what was visible before this update."""
        last = quotes.depth_times[-1] if quotes.depth_times else 0
        top = book.top()
        if top is None or ts // SECOND_NS <= last // SECOND_NS:
            return
        unit = 10.0**size_exponent
        bids = reach_of(book.bids, top[0], is_bid=True) * unit
        asks = reach_of(book.asks, top[1], is_bid=False) * unit
        quotes.note_depth(ts, bids, asks)


def _check(update: BookUpdate) -> None:
    check_names(update.venue, update.instrument)
    check_exponents(update.price_exponent, update.size_exponent)
    sides = (
        ("bid", update.bid_prices, update.bid_sizes),
        ("ask", update.ask_prices, update.ask_sizes),
    )
    for side, prices, sizes in sides:
        uneven = len(prices) != len(sizes)
        if uneven or (prices and (min(prices) <= 0 or min(sizes) < 0)):
            raise PoisonError(
                "impossible_book",
                f"expected as many {side} sizes as prices, prices above 0 and sizes of 0 or more"
                f" ({update.venue} {update.instrument} sequence {update.sequence})",
            )
