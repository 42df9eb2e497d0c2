"""`books`: a snapshot, then what changes. Who is too slow gets a new snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from teleglas.market.v1 import book_pb2
from teleglas_common.bus.ports import PoisonError
from teleglas_contracts.topics import MARKET_BOOKS_V1
from teleglas_gateway.channels.base import Body, Channel, Part, Policy
from teleglas_gateway.channels.shared import checked_subject, event_time, ts_basis
from teleglas_gateway.domain.fences import WriterFence
from teleglas_gateway.domain.numbers import Numbers
from teleglas_gateway.domain.positions import SubjectKey

__all__ = ["CHANNEL", "book_data", "fold_book"]

NAME = "books"
MAX_TAIL = 1024
"""Changes kept of one book before they are folded into its snapshot."""
VIEW_LEVELS = 50


class BookFold:
    """Keeps of each book its last snapshot and the changes since: the book itself is worked out
    only when somebody asks for it.
    """

    def __init__(self) -> None:
        self._fence = WriterFence()
        self._tails: dict[SubjectKey, list[book_pb2.BookUpdate]] = {}

    def read(self, message: Message) -> Sequence[Part]:
        if not isinstance(message, book_pb2.BookUpdate):
            return ()
        if not self._fence.admits(message.source, message.writer_epoch):
            return ()
        if len(message.bid_prices) != len(message.bid_sizes) or len(message.ask_prices) != len(
            message.ask_sizes
        ):
            raise PoisonError("uneven_levels", f"expected a size a level ({message.instrument})")
        subject = checked_subject(
            *(NAME, message.venue, message.instrument),
            *(message.price_exponent, message.size_exponent),
        )
        if message.kind == book_pb2.BOOK_UPDATE_KIND_SNAPSHOT:
            self._tails[subject] = [message]
        else:
            self._change(subject, message)
        return (Part(subject, 0, message),)

    def _change(self, subject: SubjectKey, change: book_pb2.BookUpdate) -> None:
        """Keep a change that follows; one that leaves a hole ends what is known of the book."""
        tail = self._tails.get(subject)
        if tail is None:
            return
        newest = tail[-1]
        reached = (newest.book_epoch, newest.sequence)
        if (change.book_epoch, change.sequence) <= reached:
            return
        if (change.book_epoch, change.prev_sequence) != reached:
            del self._tails[subject]
            return
        tail.append(change)
        if len(tail) > MAX_TAIL:
            tail[:] = [fold_book(tail)]

    def current(self, subject: SubjectKey) -> book_pb2.BookUpdate | None:
        tail = self._tails.get(subject)
        if tail is None:
            return None
        if len(tail) > 1:
            tail[:] = [fold_book(tail)]
        return tail[0]


def fold_book(tail: Sequence[book_pb2.BookUpdate]) -> book_pb2.BookUpdate:
    """A snapshot of the book behind a snapshot and the changes after it."""
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for update in tail:
        for side, prices, sizes in (
            (bids, update.bid_prices, update.bid_sizes),
            (asks, update.ask_prices, update.ask_sizes),
        ):
            for price, size in zip(prices, sizes, strict=True):
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)
    newest = tail[-1]
    best_bids, best_asks = sorted(bids, reverse=True), sorted(asks)
    return book_pb2.BookUpdate(
        venue=newest.venue,
        instrument=newest.instrument,
        kind=book_pb2.BOOK_UPDATE_KIND_SNAPSHOT,
        book_epoch=newest.book_epoch,
        sequence=newest.sequence,
        prev_sequence=newest.prev_sequence,
        price_exponent=newest.price_exponent,
        size_exponent=newest.size_exponent,
        bid_prices=best_bids,
        bid_sizes=[bids[price] for price in best_bids],
        ask_prices=best_asks,
        ask_sizes=[asks[price] for price in best_asks],
        ts_event=newest.ts_event,
        ts_basis=newest.ts_basis,
        ts_ingest=newest.ts_ingest,
        source=newest.source,
        writer_epoch=newest.writer_epoch,
    )


def top_levels(book: book_pb2.BookUpdate) -> book_pb2.BookUpdate:
    """The best levels of a snapshot: a view that needs no changes after it."""
    view = book_pb2.BookUpdate()
    view.CopyFrom(book)
    for levels in (view.bid_prices, view.bid_sizes, view.ask_prices, view.ask_sizes):
        del levels[VIEW_LEVELS:]
    return view


def book_data(book: book_pb2.BookUpdate, numbers: Numbers) -> Body:
    def levels(prices: Sequence[int], sizes: Sequence[int]) -> list[tuple[object, object]]:
        return [
            (
                numbers.exact(price, book.price_exponent),
                numbers.exact(size, book.size_exponent),
            )
            for price, size in zip(prices, sizes, strict=True)
        ]

    snapshot = book.kind == book_pb2.BOOK_UPDATE_KIND_SNAPSHOT
    return Body(
        event_time(book),
        {
            "kind": "snapshot" if snapshot else "delta",
            "book_epoch": str(book.book_epoch),
            "sequence": book.sequence,
            "prev_sequence": book.prev_sequence,
            "bids": levels(book.bid_prices, book.bid_sizes),
            "asks": levels(book.ask_prices, book.ask_sizes),
            "exchange": book.venue,
            "ts_event": str(book.ts_event) if book.ts_event else None,
            "ts_basis": ts_basis(book),
        },
    )


CHANNEL = Channel(
    name=NAME,
    type="book",
    topic=MARKET_BOOKS_V1,
    policy=Policy.LATEST,
    lookback=4096,
    fold=BookFold,
    body=book_data,
    received_ns=lambda payload: int(payload.ts_ingest),
    aliases=("book",),
    view=top_levels,
)
