"""Fetches what a feed misses: trades between two ids, a book's snapshot, a new subscription."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random

import msgspec
import structlog
from msgspec import Struct

from teleglas_ingest.domain.backoff import Backoff
from teleglas_ingest.domain.book import SyncState
from teleglas_ingest.domain.events import Channel
from teleglas_ingest.domain.numbers import RefusedError
from teleglas_ingest.domain.tape import Hole
from teleglas_ingest.pipeline.feed import MarketFeed
from teleglas_ingest.pipeline.meters import Meters
from teleglas_ingest.ports import RestError, TradePage, Venue

__all__ = ["RepairPolicy", "RepairShop"]

_log = structlog.get_logger(__name__)

Job = Callable[[], Coroutine[None, None, None]]


class RepairPolicy(Struct, frozen=True, kw_only=True):
    workers: int = 4
    max_jobs: int = 1_000
    backfill_deadline_s: float = 30.0
    """After this a hole is given up, so that progress does not wait for ever."""
    backfill_max_trades: int = 100_000
    resync_pause_s: float = 1.0
    """At most one in-band resync of a book in this time."""


class RepairShop:
    """A bounded queue of jobs and a few workers; a full queue gives the newest job up, loudly. A
    catch-up is never given up for that: it waits beside the queue.
    """

    def __init__(
        self,
        venue: Venue,
        resubscribe: Callable[[MarketFeed, Channel], Coroutine[None, None, None]],
        meters: Meters,
        *,
        policy: RepairPolicy,
        random: Random,
        wall_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._venue = venue
        self._resubscribe = resubscribe
        self._meters = meters
        self._policy = policy
        self._random = random
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(policy.max_jobs)
        self._late: dict[str, MarketFeed] = {}
        """Wait for a catch-up beside a full queue: one each, after what is in the queue."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._policy.workers):
                workers.create_task(self._work())

    def backfill(self, feed: MarketFeed, hole: Hole) -> None:
        if not self._put(lambda: self._backfill(feed, hole)):
            feed.close_hole(hole, lost=hole.open_ids, detail="too many repairs at once")

    def catch_up(self, feed: MarketFeed) -> None:
        if not self._put(lambda: self._catch_up(feed)):
            self._late[feed.market.key] = feed

    def resync(self, feed: MarketFeed) -> None:
        if not self._put(lambda: self._resync(feed)):
            feed.resyncing = False

    def resubscribe(self, feed: MarketFeed, channel: Channel) -> None:
        self._put(lambda: self._resubscribe(feed, channel))

    def _put(self, job: Job) -> bool:
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            _log.error("repair queue is full", venue=self._venue.name, jobs=self._jobs.qsize())
            return False
        return True

    async def _work(self) -> None:
        while True:
            await (await self._jobs.get())()
            if self._late:
                await self._catch_up(self._late.pop(next(iter(self._late))))

    # --- trades ------------------------------------------------------------------------------

    async def _catch_up(self, feed: MarketFeed) -> None:
        """Ask for the newest trade until the venue answers, a live trade tells, or it takes too
        long: then what was missed may be lost.
        """
        deadline_ns = self._monotonic_ns() + int(self._policy.backfill_deadline_s * 1e9)
        backoff = Backoff(self._random)
        while True:
            try:
                newest = await self._venue.newest_trade(feed.market, self._wall_ns())
            except (RestError, RefusedError, msgspec.MsgspecError) as error:
                _log.warning("no newest trade", market=feed.market.key, error=str(error))
                if feed.has_moved:
                    feed.caught_up(None)
                    return
                wait_s = _wait(error, backoff)
                if self._monotonic_ns() + int(wait_s * 1e9) > deadline_ns:
                    feed.gave_up(str(error))
                    return
                await asyncio.sleep(wait_s)
            else:
                hole = None
                if newest is not None:
                    hole = feed.tape.expect(newest.sequence, newest.ts_event)
                feed.caught_up(hole)
                return

    async def _backfill(self, feed: MarketFeed, hole: Hole) -> None:
        """Fetch a hole page by page until nothing is missing, nothing more can be had or it takes
        too long. Ids that a page covers and does not list do not exist at the venue.
        """
        deadline_ns = self._monotonic_ns() + int(self._policy.backfill_deadline_s * 1e9)
        backoff = Backoff(self._random)
        detail = ""
        if hole.open_ids > self._policy.backfill_max_trades:
            first, last = hole.missing[0]
            hole.missing[0] = (last - self._policy.backfill_max_trades + 1, last)
            detail = f"only the newest {self._policy.backfill_max_trades} are fetched; "
        lost = max(0, hole.last - hole.first + 1 - hole.open_ids - hole.recovered)
        while hole.missing and self._monotonic_ns() < deadline_ns:
            first, last = hole.missing[0]
            try:
                page = await self._venue.trades(feed.market, first, last, self._wall_ns())
            except (RestError, RefusedError, msgspec.MsgspecError) as error:
                detail = str(error)
                wait_s = _wait(error, backoff)
                if self._monotonic_ns() + int(wait_s * 1e9) > deadline_ns:
                    break
                await asyncio.sleep(wait_s)
                continue
            if not self._take(feed, hole, page, first, last):
                detail = detail or "the venue gives no more of it"
                break
        feed.close_hole(hole, lost=lost + hole.open_ids, detail=detail)

    def _take(self, feed: MarketFeed, hole: Hole, page: TradePage, first: int, last: int) -> bool:
        """Put a page's trades on the tape and cross out what it covers; False without progress."""
        now_ns = self._monotonic_ns()
        before = hole.open_ids
        for trade in page.trades:
            feed.on_trade(trade, now_ns)
        low, high = max(first, page.covers_from), min(last, page.covers_to)
        if low <= high:
            hole.missing = [
                part
                for start, end in hole.missing
                for part in ((start, min(end, low - 1)), (max(start, high + 1), end))
                if part[0] <= part[1]
            ]
        return hole.open_ids < before

    # --- books -------------------------------------------------------------------------------

    async def _resync(self, feed: MarketFeed) -> None:
        """Bring a book back: by a new subscription where the snapshot comes in band, else by REST
        once a delta waits, again while the snapshot is older than that delta.
        """
        backoff = Backoff(self._random, first_s=0.2, most_s=10.0)
        try:
            if self._venue.book_in_band:
                await self._resync_in_band(feed)
                return
            while _wants_snapshot(feed):
                await self._wait_for_delta(feed)
                try:
                    change = await self._venue.book(feed.market, self._wall_ns())
                except (RestError, RefusedError, msgspec.MsgspecError) as error:
                    _log.warning("no book snapshot", market=feed.market.key, error=str(error))
                    await asyncio.sleep(_wait(error, backoff))
                    continue
                if change is None:
                    return
                feed.on_book(change, self._monotonic_ns())
                if _wants_snapshot(feed):
                    await asyncio.sleep(backoff.failed())
        finally:
            feed.resyncing = False

    async def _resync_in_band(self, feed: MarketFeed) -> None:
        """The first snapshot comes by itself; one that does not is asked for."""
        await asyncio.sleep(self._policy.resync_pause_s)
        while _wants_snapshot(feed):
            await self._resubscribe(feed, Channel.BOOKS)
            for _ in range(50):
                await asyncio.sleep(self._policy.resync_pause_s / 10)
                if not _wants_snapshot(feed):
                    return

    async def _wait_for_delta(self, feed: MarketFeed) -> None:
        for _ in range(30):
            if feed.book.oldest_buffered:
                return
            await asyncio.sleep(0.05)


def _wants_snapshot(feed: MarketFeed) -> bool:
    return feed.book.state is SyncState.WANTS_SNAPSHOT


def _wait(error: Exception, backoff: Backoff) -> float:
    asked_s = error.retry_after_s if isinstance(error, RestError) else 0.0
    return max(asked_s, backoff.failed())
