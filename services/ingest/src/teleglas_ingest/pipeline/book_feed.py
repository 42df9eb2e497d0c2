"""The book of one instrument: published change by change, whole now and then, resynced."""

from __future__ import annotations

from collections.abc import Callable

from teleglas_ingest.domain.book import BookBreak, BookSync, BookUpdate, SyncState
from teleglas_ingest.domain.continuity import Continuity
from teleglas_ingest.domain.events import BookChange, Channel, Gap, GapCause, GapResolution
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.pipeline.gaps import copy_of, new_gap
from teleglas_ingest.pipeline.meters import Meters
from teleglas_ingest.pipeline.outbox import BookOut, GapOut, Outbox
from teleglas_ingest.pipeline.policy import FeedPolicy

__all__ = ["BookFeed"]


class BookFeed:
    """What a feed does about its book, and about gaps of any channel."""

    def __init__(
        self,
        market: Market,
        outbox: Outbox,
        resync: Callable[[], None],
        meters: Meters,
        *,
        rule: Continuity,
        in_band: bool,
        policy: FeedPolicy,
        first_book_epoch: int,
    ) -> None:
        self.market = market
        self.book = BookSync(rule, first_epoch=first_book_epoch, in_band=in_band)
        self.sources: dict[Channel, str] = {}
        self.resyncing = False
        self._outbox = outbox
        self._resync = resync
        self._meters = meters
        self._policy = policy
        self._had_book = False
        self._snapshot_ns = 0
        self._snapshot_event = 0
        self._book_gap: Gap | None = None
        self._book_ts = 0
        """Event time of the last change that was published, by us or by the writer before."""
        self._wanting_ns: int | None = None
        self._is_book_given_up = False
        self._left: dict[Channel, list[Gap]] = {}

    def on_book(self, change: BookChange, now_ns: int, *, standby: bool = False) -> None:
        updates, broken = self.book.on_change(change, standby=standby)
        if updates:
            self._put_book(updates, now_ns)
        if broken is not None:
            self._break_book(broken)

    def begin_book(self, now_ns: int, ts_ingest: int) -> None:
        """Publish the whole book: the first of our epoch."""
        self._put_snapshot(now_ns, ts_ingest)
        self._had_book = True

    def want_book(self) -> None:
        if self.book.state is SyncState.WANTS_SNAPSHOT and not self.resyncing:
            self.resyncing = True
            self._resync()

    @property
    def book_held_at(self) -> int | None:
        """Event time after which the book is still to be published: while it resyncs, and not for
        ever.
        """
        wants = self.book.state is SyncState.WANTS_SNAPSHOT
        return self._book_ts if wants and not self._is_book_given_up else None

    def watch_book(self, now_ns: int) -> None:
        """Count how long the book has been missing."""
        if self.book.state is not SyncState.WANTS_SNAPSHOT:
            self._wanting_ns, self._is_book_given_up = None, False
        elif self._wanting_ns is None:
            self._wanting_ns = now_ns
        elif now_ns - self._wanting_ns > self._policy.book_hold_ns:
            self._is_book_given_up = True

    # --- inside ------------------------------------------------------------------------------

    def _break_book(self, broken: BookBreak, *, repair: bool = True) -> None:
        was_expected = self._had_book or broken.cause is GapCause.SUBSCRIPTION
        self.book.reset()
        if was_expected and self._book_gap is None:
            gap = self._gap(
                Channel.BOOKS, broken.cause, f"{self.book.epoch}", broken.ts_from, broken.detail
            )
            gap.first_missing, gap.last_missing = broken.first_missing, broken.last_missing
            self._book_gap = gap
            self._meters.gap(self.market.venue, "books", broken.cause.name.lower())
            self._put_gap(gap)
        if repair:
            self.want_book()

    def _put_book(self, updates: list[BookUpdate], now_ns: int) -> None:
        source = self.sources[Channel.BOOKS]
        for update in updates:
            self._outbox.put(BookOut(self.market, update, source))
            if update.is_snapshot:
                self._snapshot_ns, self._snapshot_event = now_ns, update.ts_event
        self._had_book = True
        latest = updates[-1]
        self._book_ts = max(self._book_ts, latest.ts_event)
        if self._left and self.book.state is SyncState.LIVE:
            self._close_left(Channel.BOOKS, GapResolution.RESYNCED, latest.ts_event)
        gap = self._book_gap
        if gap is not None and self.book.state is SyncState.LIVE:
            gap.resolution = GapResolution.RESYNCED
            gap.ts_to = latest.ts_event
            self._book_gap = None
            self._meters.resynced(self.market.venue)
            self._put_gap(gap)
        if latest.ts_event - self._snapshot_event >= self._policy.snapshot_every_ns:
            self._put_snapshot(now_ns, latest.ts_ingest)

    def _put_snapshot(self, now_ns: int, ts_ingest: int) -> None:
        snapshot = self.book.snapshot(ts_ingest)
        if snapshot is not None:
            self._snapshot_ns, self._snapshot_event = now_ns, snapshot.ts_event
            self._outbox.put(BookOut(self.market, snapshot, self.sources[Channel.BOOKS]))

    def _gap(self, channel: Channel, cause: GapCause, what: str, ts_from: int, detail: str) -> Gap:
        return new_gap(self.market, channel, cause, what, ts_from, detail)

    def _put_gap(self, gap: Gap) -> None:
        source = self.sources.get(Channel(gap.channel), "")
        self._outbox.put(GapOut(copy_of(gap), source))

    def _close_left(self, channel: Channel, resolution: GapResolution, ts_event: int) -> None:
        for gap in self._left.pop(channel, ()):
            gap.resolution, gap.ts_to = resolution, ts_event
            self._put_gap(gap)
