import asyncio
from random import Random
from typing import Self

from teleglas_common.testing.eventually import eventually
from teleglas_ingest.domain.continuity import Continuity, RangeRule
from teleglas_ingest.domain.events import BookChange, Channel, GapCause, GapResolution, Trade
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.pipeline.feed import FeedPolicy, MarketFeed, Tail
from teleglas_ingest.pipeline.meters import Counts
from teleglas_ingest.pipeline.outbox import GapOut, Outbox
from teleglas_ingest.pipeline.repair import RepairPolicy, RepairShop
from teleglas_ingest.ports import RestError, TradePage
from teleglas_ingest.testing import spot

MARKET = spot()


class Archive:
    """A venue's REST as far as repairs use it: trades by id in pages, books, outages."""

    name = "binance"
    rule: Continuity = RangeRule()
    book_in_band = False

    def __init__(self, ids: range, *, page: int = 3, backwards: bool = False) -> None:
        self.ids = ids
        self.page = page
        self.backwards = backwards
        self.outages = 0
        self.book_id = 100
        self.requests = 0

    async def trades(self, market: Market, first: int, last: int, ts_ingest: int) -> TradePage:
        self.requests += 1
        if self.outages:
            self.outages -= 1
            raise RestError("busy", status=503)
        have = [n for n in self.ids if first <= n <= last]
        have = have[-self.page :] if self.backwards else have[: self.page]
        trades = [Trade(market, n, 1, 1, 1, n, ts_ingest, backfilled=True) for n in have]
        if not have:
            return TradePage([], first, first - 1)
        low, high = (have[0], last) if self.backwards else (first, have[-1])
        return TradePage(trades, low, high)

    async def newest_trade(self, market: Market, ts_ingest: int) -> Trade | None:
        if self.outages:
            self.outages -= 1
            raise RestError("busy", status=503)
        return Trade(market, self.ids[-1], 1, 1, 1, self.ids[-1], ts_ingest)

    async def book(self, market: Market, ts_ingest: int) -> BookChange | None:
        self.requests += 1
        if self.outages:
            self.outages -= 1
            raise RestError("busy", status=503)
        self.book_id += 5
        n = self.book_id
        return BookChange(market, True, n, n, -1, [1], [1], [9], [1], 1, 2, ts_ingest)


class Bench:
    """A feed, its shop and its archive, running."""

    def __init__(self, archive: Archive, **policy: float) -> None:
        self.outbox = Outbox()
        self.resubscribed: list[Channel] = []
        now = [0]

        def monotonic_ns() -> int:
            now[0] += 1_000_000
            return now[0]

        self.shop = RepairShop(
            archive,  # type: ignore[arg-type]
            self._resubscribe,
            Counts(),
            policy=RepairPolicy(**policy),  # type: ignore[arg-type]
            random=Random(1),
            wall_ns=lambda: 0,
            monotonic_ns=monotonic_ns,
        )
        self.feed = MarketFeed(
            MARKET,
            self.outbox,
            self.shop,
            Counts(),
            rule=archive.rule,
            in_band=False,
            policy=FeedPolicy(),
            tail=Tail(10, 10),
            first_book_epoch=1,
        )
        self.feed.sources = dict.fromkeys(Channel, "s")

    async def _resubscribe(self, feed: MarketFeed, channel: Channel) -> None:  # noqa: ARG002
        self.resubscribed.append(channel)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.shop.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def outcome(self) -> tuple[int, int]:
        """Resolution and recovered trades of the last gap, once it is no more open."""
        found: list[tuple[int, int]] = []

        def closed() -> bool:
            gaps = [i.gap for i in self.outbox.take_now(1000) if isinstance(i, GapOut)]
            done = [gap for gap in gaps if gap.resolution != GapResolution.OPEN]
            found.extend((gap.resolution, gap.recovered) for gap in done)
            return bool(found)

        await eventually(closed)
        return found[-1]


def trade(sequence: int) -> Trade:
    return Trade(MARKET, sequence, 1, 1, 1, sequence, 0)


async def test_a_hole_is_filled_page_by_page_forwards_and_backwards() -> None:
    """However the venue pages, every id arrives once."""
    for backwards in (False, True):
        async with Bench(Archive(range(1, 100), backwards=backwards)) as bench:
            bench.feed.on_trade(trade(20), 0)
            assert await bench.outcome() == (GapResolution.BACKFILLED, 9)


async def test_an_outage_is_waited_out() -> None:
    """A busy venue is asked again, within the deadline."""
    archive = Archive(range(1, 100))
    archive.outages = 1
    async with Bench(archive) as bench:
        bench.feed.on_trade(trade(13), 0)
        assert await bench.outcome() == (GapResolution.BACKFILLED, 2)


async def test_what_the_venue_does_not_give_is_lost_by_name() -> None:
    """Ids before what can be had end as lost; the rest is there."""
    async with Bench(Archive(range(16, 100), backwards=True)) as bench:
        bench.feed.on_trade(trade(20), 0)
        assert await bench.outcome() == (GapResolution.LOST, 4)


async def test_ids_that_a_page_covers_and_leaves_out_do_not_exist() -> None:
    """A venue's spent ids are no missing trades."""
    archive = Archive(range(1, 100, 2), page=100)
    async with Bench(archive) as bench:
        bench.feed.on_trade(trade(20), 0)
        assert await bench.outcome() == (GapResolution.BACKFILLED, 5)


async def test_catching_up_asks_for_the_newest_trade_first() -> None:
    """After a restart the venue says how far it has come."""
    async with Bench(Archive(range(1, 31))) as bench:
        bench.feed.connected(Channel.TRADES, 0, GapCause.RESTART)
        assert await bench.outcome() == (GapResolution.BACKFILLED, 20)
        assert bench.feed.tape.last == 30


async def test_a_book_is_fetched_until_it_joins_the_waiting_deltas() -> None:
    """A snapshot older than the first delta is fetched again, through outages."""
    archive = Archive(range(1, 2))
    archive.outages, archive.book_id = 1, 101
    async with Bench(archive) as bench:
        delta = BookChange(MARKET, False, 112, 113, -1, [2], [1], [], [], 1, 2, 0)
        bench.feed.on_book(delta, 0)
        bench.feed.want_book()
        await eventually(lambda: bench.feed.book.book.bids == {1: 1, 2: 1})
        assert archive.requests == 3


async def test_a_full_queue_gives_the_newest_repair_up() -> None:
    """The bound holds, and the gap says so."""
    bench = Bench(Archive(range(1, 100)), max_jobs=1)
    bench.feed.on_trade(trade(20), 0)
    bench.feed.on_trade(trade(30), 0)
    lost = [i.gap for i in bench.outbox.take_now(100) if isinstance(i, GapOut)][-1]
    assert (lost.resolution, lost.detail) == (GapResolution.LOST, "too many repairs at once")


async def test_a_catch_up_without_an_answer_is_lost_not_repaired() -> None:
    """The gap says so, and only then the marks go on."""
    archive = Archive(range(1, 31))
    archive.outages = 100
    async with Bench(archive, backfill_deadline_s=0.0) as bench:
        bench.feed.disconnected(Channel.TRADES, 0, GapCause.DISCONNECT, "gone")
        bench.feed.connected(Channel.TRADES, 0, GapCause.DISCONNECT)
        assert bench.feed.held_at == 10
        assert await bench.outcome() == (GapResolution.LOST, 0)
        assert bench.feed.held_at is None


async def test_a_live_trade_answers_for_a_venue_that_does_not() -> None:
    """The trade that follows the last one leaves nothing between them."""
    archive = Archive(range(1, 31))
    archive.outages = 100
    async with Bench(archive) as bench:
        bench.feed.disconnected(Channel.TRADES, 0, GapCause.DISCONNECT, "gone")
        bench.feed.connected(Channel.TRADES, 0, GapCause.DISCONNECT)
        bench.feed.on_trade(trade(11), 0)
        assert await bench.outcome() == (GapResolution.BACKFILLED, 0)


async def test_a_catch_up_waits_beside_a_full_queue() -> None:
    """It is never reported as done because there was no room to do it."""
    bench = Bench(Archive(range(1, 31)), max_jobs=1)
    bench.feed.on_trade(trade(13), 0)
    bench.feed.disconnected(Channel.TRADES, 0, GapCause.DISCONNECT, "gone")
    bench.feed.connected(Channel.TRADES, 0, GapCause.DISCONNECT)
    assert bench.feed.held_at is not None
    async with bench:
        await eventually(lambda: bench.feed.tape.last == 30 and bench.feed.held_at is None)
