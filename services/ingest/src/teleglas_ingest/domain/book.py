"""A full-depth book kept in step with its venue: snapshot, deltas, and when to start over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from zlib import crc32

from msgspec import Struct

from teleglas_ingest.domain.continuity import Continuity, Verdict
from teleglas_ingest.domain.events import Basis, BookChange, GapCause

__all__ = ["Book", "BookBreak", "BookSync", "BookUpdate", "SyncState"]

MAX_BUFFERED = 2_000
"""Deltas kept while a snapshot is fetched: 200 s of them at one each 100 ms."""
CHECKSUM_LEVELS = 25


class SyncState(Enum):
    WANTS_SNAPSHOT = "wants_snapshot"
    LIVE = "live"


class BookUpdate(Struct):
    """A change that goes out: within an epoch each one's `prev` is the sequence before it."""

    is_snapshot: bool
    epoch: int
    sequence: int
    prev: int
    bid_prices: list[int]
    bid_sizes: list[int]
    ask_prices: list[int]
    ask_sizes: list[int]
    ts_event: int
    ts_basis: int
    ts_ingest: int


class BookBreak(Struct):
    """The book is wrong or incomplete from here: it wants a new snapshot."""

    cause: GapCause
    ts_from: int
    ts_to: int
    first_missing: int
    last_missing: int
    detail: str


class Book:
    """Price → size of both sides."""

    __slots__ = ("_best_ask", "_best_bid", "asks", "bids")

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._best_bid: int | None = None
        self._best_ask: int | None = None

    def replace(self, change: BookChange) -> None:
        self.bids = {
            p: s for p, s in zip(change.bid_prices, change.bid_sizes, strict=True) if s > 0
        }
        self.asks = {
            p: s for p, s in zip(change.ask_prices, change.ask_sizes, strict=True) if s > 0
        }
        self._best_bid = self._best_ask = None

    def apply(self, change: BookChange) -> None:
        _apply(self.bids, change.bid_prices, change.bid_sizes)
        _apply(self.asks, change.ask_prices, change.ask_sizes)
        self._best_bid = _better(self._best_bid, self.bids, change.bid_prices, max)
        self._best_ask = _better(self._best_ask, self.asks, change.ask_prices, min)

    @property
    def best_bid(self) -> int | None:
        if self._best_bid is None and self.bids:
            self._best_bid = max(self.bids)
        return self._best_bid

    @property
    def best_ask(self) -> int | None:
        if self._best_ask is None and self.asks:
            self._best_ask = min(self.asks)
        return self._best_ask

    @property
    def is_crossed(self) -> bool:
        bid, ask = self.best_bid, self.best_ask
        return bid is not None and ask is not None and bid >= ask


def _apply(side: dict[int, int], prices: list[int], sizes: list[int]) -> None:
    for price, size in zip(prices, sizes, strict=True):
        if size:
            side[price] = size
        else:
            side.pop(price, None)


def _better(
    best: int | None,
    side: dict[int, int],
    touched: list[int],
    choose: Callable[[Iterable[int]], int],
) -> int | None:
    """The best price after `touched` changed, or None where only a full scan would tell."""
    if best is None or best not in side:
        return None
    return choose([best, *(price for price in touched if price in side)])


class BookSync:
    """One instrument's book and its place in the venue's sequence.

    Feed it every snapshot and delta; it returns what is to be published, and a break when the book
    has to start over (from then on it buffers deltas until a snapshot comes). A snapshot older
    than those is passed over: the state stays WANTS_SNAPSHOT and the caller fetches another.
    """

    def __init__(self, rule: Continuity, *, first_epoch: int, in_band: bool = False) -> None:
        """`in_band`: snapshots come in the stream itself: deltas before one are older than it."""
        self._rule = rule
        self._in_band = in_band
        self._ts_basis = int(Basis.INGEST)
        self._buffer: list[BookChange] = []
        self._fresh = False
        self._raw: _RawSides | None = None
        self._last = -1
        self._sequence = 0
        self.book = Book()
        self.epoch = first_epoch - 1
        self.state = SyncState.WANTS_SNAPSHOT
        self.ts_event = 0
        self.repeats = 0

    @property
    def oldest_buffered(self) -> int:
        """First update id that waits for a snapshot; 0 where none waits."""
        return self._buffer[0].first if self._buffer else 0

    def on_change(
        self, change: BookChange, *, standby: bool = False
    ) -> tuple[list[BookUpdate], BookBreak | None]:
        """Take a frame. One from a standby connection may extend the book, never break it."""
        if change.is_snapshot:
            if standby and self.state is SyncState.LIVE:
                return [], None
            return self._restart(change)
        if self.state is SyncState.WANTS_SNAPSHOT:
            if len(self._buffer) < MAX_BUFFERED:
                self._buffer.append(change)
            return [], None
        verdict = self._judge(change)
        if verdict is Verdict.GAP and standby:
            return [], None
        return self._take(change, verdict)

    def rebase(self, first_epoch: int) -> None:
        """Go on under another writer's epochs."""
        self.epoch = first_epoch

    def reset(self) -> None:
        """Forget the book: deltas from now on wait for a snapshot."""
        self.state = SyncState.WANTS_SNAPSHOT
        self._buffer.clear()
        self._raw = None

    def snapshot(self, ts_ingest: int) -> BookUpdate | None:
        """The whole book as it stands, best levels first, within the running epoch."""
        if self.state is not SyncState.LIVE:
            return None
        bids = sorted(self.book.bids.items(), reverse=True)
        asks = sorted(self.book.asks.items())
        return BookUpdate(
            True,
            self.epoch,
            self._sequence,
            self._sequence,
            [price for price, _ in bids],
            [size for _, size in bids],
            [price for price, _ in asks],
            [size for _, size in asks],
            self.ts_event,
            self._ts_basis,
            ts_ingest,
        )

    def _restart(self, change: BookChange) -> tuple[list[BookUpdate], BookBreak | None]:
        waiting = [] if self._in_band else self._buffer
        if waiting and change.last < _follows_after(waiting[0]):
            return [], None
        self._buffer = []
        self.book.replace(change)
        self._raw = _RawSides(change) if change.checksum else None
        self.state = SyncState.LIVE
        self.epoch += 1
        self._fresh = True
        self._last = change.last
        self._sequence = max(change.last, 0)
        self._at(change)
        broken = self._fault(change)
        if broken is not None:
            return [], broken
        first = self.snapshot(change.ts_ingest)
        published = [first] if first is not None else []
        for index, delta in enumerate(waiting):
            updates, fault = self._take(delta, self._judge(delta))
            published += updates
            if fault is not None:
                self._buffer = waiting[index:]
                return published, fault
        return published, None

    def _at(self, change: BookChange) -> None:
        if change.ts_event:
            self.ts_event = change.ts_event
            self._ts_basis = change.ts_basis

    def _judge(self, change: BookChange) -> Verdict:
        judge = self._rule.joins_snapshot if self._fresh else self._rule.follows
        return judge(self._last, change.first, change.last, change.prev)

    def _take(
        self, change: BookChange, verdict: Verdict
    ) -> tuple[list[BookUpdate], BookBreak | None]:
        if verdict is Verdict.REPEAT:
            self.repeats += 1
            return [], None
        if verdict is Verdict.GAP:
            missed = BookBreak(
                GapCause.SEQUENCE_BREAK,
                self.ts_event,
                change.ts_event,
                max(self._last + 1, 0),
                max((change.first if change.first >= 0 else change.prev) - 1, 0),
                f"expected an update after {self._last}, was {change.first} after {change.prev}",
            )
            self.reset()
            self._buffer.append(change)
            return [], missed
        self._fresh = False
        self.book.apply(change)
        before, self._last = self._sequence, change.last
        self._sequence = change.last if change.last >= 0 else before + 1
        self._at(change)
        fault = self._fault(change)
        if fault is not None:
            return [], fault
        return [
            BookUpdate(
                False,
                self.epoch,
                self._sequence,
                before,
                change.bid_prices,
                change.bid_sizes,
                change.ask_prices,
                change.ask_sizes,
                change.ts_event,
                change.ts_basis,
                change.ts_ingest,
            )
        ], None

    def _fault(self, change: BookChange) -> BookBreak | None:
        fault: BookBreak | None = None
        if self.book.is_crossed:
            fault = _break(
                GapCause.REFUSED_FRAME,
                change,
                f"expected the best bid below the best ask, was {self.book.best_bid} and "
                f"{self.book.best_ask}",
            )
        elif self._raw is not None and change.checksum:
            if not change.is_snapshot:
                self._raw.apply(change)
            actual = self._raw.checksum(self.book)
            if actual != change.checksum:
                fault = _break(
                    GapCause.CHECKSUM_MISMATCH,
                    change,
                    f"expected checksum {change.checksum}, was {actual}",
                )
        if fault is not None:
            self.reset()
        return fault


def _follows_after(change: BookChange) -> int:
    """The update id that a delta builds on: an older snapshot is of no use to it."""
    return change.prev if change.prev >= 0 else change.first - 1


def _break(cause: GapCause, change: BookChange, detail: str) -> BookBreak:
    return BookBreak(cause, change.ts_event, change.ts_event, 0, 0, detail)


class _RawSides:
    """The venue's own strings of each level, which its checksum is made of."""

    def __init__(self, change: BookChange) -> None:
        self._bids: dict[int, str] = {}
        self._asks: dict[int, str] = {}
        self.apply(change)

    def apply(self, change: BookChange) -> None:
        bids, asks = change.raw or ([], [])
        for side, prices, sizes, rows in (
            (self._bids, change.bid_prices, change.bid_sizes, bids),
            (self._asks, change.ask_prices, change.ask_sizes, asks),
        ):
            for price, size, (raw_price, raw_size) in zip(prices, sizes, rows, strict=True):
                if size:
                    side[price] = f"{raw_price}:{raw_size}"
                else:
                    side.pop(price, None)

    def checksum(self, book: Book) -> int:
        """CRC-32, signed, of the best 25 levels interleaved as bid:size:ask:size."""
        bids = [self._bids[p] for p in sorted(book.bids, reverse=True)[:CHECKSUM_LEVELS]]
        asks = [self._asks[p] for p in sorted(book.asks)[:CHECKSUM_LEVELS]]
        parts: list[str] = []
        for index in range(max(len(bids), len(asks))):
            parts += bids[index : index + 1]
            parts += asks[index : index + 1]
        value = crc32(":".join(parts).encode())
        return value - 2**32 if value >= 2**31 else value
