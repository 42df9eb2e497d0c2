"""What a new owner finds in the topics and what it makes of it."""

from __future__ import annotations

from google.protobuf.message import Message

from teleglas.market.v1 import gap_pb2, liquidation_pb2, trade_pb2
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.memory import MemoryBus
from teleglas_contracts import topics
from teleglas_ingest.adapters.tail import read_tails
from teleglas_ingest.domain.continuity import RangeRule
from teleglas_ingest.domain.events import (
    BookChange,
    Channel,
    Gap,
    GapCause,
    GapResolution,
    Liquidation,
    Trade,
)
from teleglas_ingest.domain.tape import Hole
from teleglas_ingest.pipeline.feed import FeedPolicy, MarketFeed
from teleglas_ingest.pipeline.gaps import new_gap
from teleglas_ingest.pipeline.held import is_news
from teleglas_ingest.pipeline.meters import Counts
from teleglas_ingest.pipeline.outbox import GapOut, LiquidationOut, Outbox
from teleglas_ingest.pipeline.tail import LeftGap, Tail
from teleglas_ingest.testing import spot

MARKET = spot()
KEY = MARKET.key


class Asked:
    """Repairs that only remember what they were asked."""

    def __init__(self) -> None:
        self.holes: list[Hole] = []
        self.calls: list[str] = []

    def backfill(self, feed: MarketFeed, hole: Hole) -> None:  # noqa: ARG002
        self.holes.append(hole)

    def catch_up(self, feed: MarketFeed) -> None:  # noqa: ARG002
        self.calls.append("catch_up")

    def resync(self, feed: MarketFeed) -> None:  # noqa: ARG002
        self.calls.append("resync")

    def resubscribe(self, feed: MarketFeed, channel: Channel) -> None:  # noqa: ARG002
        self.calls.append(f"resubscribe {channel.name}")


def feed_of(tail: Tail) -> tuple[MarketFeed, Outbox, Asked]:
    outbox, asked = Outbox(), Asked()
    feed = MarketFeed(
        MARKET,
        outbox,
        asked,
        Counts(),
        rule=RangeRule(),
        in_band=False,
        policy=FeedPolicy(),
        tail=tail,
        first_book_epoch=5,
    )
    feed.sources = dict.fromkeys(Channel, "binance/0/stream-0")
    return feed, outbox, asked


def trade(sequence: int) -> Trade:
    return Trade(MARKET, sequence, 1, 100, 1, sequence, 0)


def gaps(outbox: Outbox) -> list[Gap]:
    return [item.gap for item in outbox.take_now(1000) if isinstance(item, GapOut)]


def left(first: int, last: int, *missing: tuple[int, int]) -> LeftGap:
    return LeftGap(
        id=f"{KEY}:trades:{first}",
        channel=Channel.TRADES,
        cause=1,
        ts_from=first - 1,
        ts_to=last + 1,
        first_missing=first,
        last_missing=last,
        missing=missing,
    )


TOPICS = {
    gap_pb2.Gap: topics.MARKET_GAPS_V1,
    trade_pb2.TradeBatch: topics.MARKET_TRADES_V1,
    liquidation_pb2.Liquidation: topics.MARKET_LIQUIDATIONS_V1,
}


async def written(*messages: Message) -> MemoryBus:
    bus = MemoryBus()
    await bus.create(list(TOPICS.values()))
    publisher = bus.publisher()
    await publisher.start()
    for message in messages:
        await publisher.send(
            outgoing(
                TOPICS[type(message)], message, key=KEY, subject="BTC-USDT", now_ns=1, event_id=None
            )
        )
    await publisher.flush()
    return bus


def batch(*sequences: int) -> trade_pb2.TradeBatch:
    made = trade_pb2.TradeBatch(venue="binance", instrument="BTC-USDT")
    for n in sequences:
        made.trades.add(id=str(n), sequence=n, ts_event=n)
    return made


def gap_message(first: int, last: int, resolution: int) -> gap_pb2.Gap:
    return gap_pb2.Gap(
        id=f"{KEY}:trades:{first}",
        venue="binance",
        instrument="BTC-USDT",
        channel=1,  # type: ignore[arg-type]
        cause=1,  # type: ignore[arg-type]
        resolution=resolution,  # type: ignore[arg-type]
        ts_from=first - 1,
        ts_to=last + 1,
        first_missing=first,
        last_missing=last,
    )


async def test_the_tail_names_what_an_open_gap_still_misses() -> None:
    """A gap whose owner died is open, less the ids that it had fetched; a closed one is none."""
    bus = await written(
        batch(1, 2),
        gap_message(3, 8, gap_pb2.GAP_RESOLUTION_OPEN),
        batch(9, 10),
        batch(3, 4, 6),
        gap_message(11, 12, gap_pb2.GAP_RESOLUTION_OPEN),
        gap_message(11, 12, gap_pb2.GAP_RESOLUTION_BACKFILLED),
    )
    tail = (await read_tails(bus, "binance", ["BTC-USDT"]))[KEY]
    assert (tail.trade_sequence, tail.ts_event) == (10, 10)
    assert tail.left == (left(3, 8, (5, 5), (7, 8)),)


def test_a_new_owner_fetches_what_the_last_one_left_open() -> None:
    """The old gap is closed under its own id, with all that was recovered of it."""
    tail = Tail(10, 10, (left(3, 8, (5, 5), (7, 8)),))
    feed, outbox, asked = feed_of(tail)
    feed.restarted(tail)
    (hole,) = asked.holes
    assert feed.held_at == 2
    for sequence in (5, 7, 8):
        feed.on_trade(trade(sequence), 0)
    feed.close_hole(hole, lost=0, detail="")
    last = next(g for g in reversed(gaps(outbox)) if g.id == f"{KEY}:trades:3")
    assert (last.resolution, last.recovered) == (GapResolution.BACKFILLED, 6)


def test_a_reserve_fetches_what_the_last_owner_left_open() -> None:
    """Also where it was connected all the time, and has a younger tape."""
    feed, _, asked = feed_of(Tail())
    feed.on_trade(trade(9), 0)
    feed.on_trade(trade(12), 0)
    feed.adopt(Tail(11, 11, (left(3, 8, (5, 5)),)), trade(12), 9)
    assert [hole.missing for hole in asked.holes[1:]] == [[(5, 5)]]
    feed.on_trade(trade(10), 0)
    assert feed.tape.repeats == 1


def test_gaps_left_open_without_a_missing_trade_are_closed() -> None:
    """All is there, or the catch-up from the last trade decides."""
    done, down = left(3, 8), left(11, 0)
    tail = Tail(10, 10, (done, down))
    feed, outbox, asked = feed_of(tail)
    feed.restarted(tail)
    assert asked.holes == []
    feed.connected(Channel.TRADES, 0, 7)  # type: ignore[arg-type]
    feed.caught_up(None)
    closed = {g.id for g in gaps(outbox) if g.resolution == GapResolution.BACKFILLED}
    assert closed == {done.id, down.id}


async def test_liquidations_that_the_last_owner_wrote_are_not_written_again() -> None:
    """A reserve publishes what is neither in the topic nor older than the lease."""
    bus = await written(
        liquidation_pb2.Liquidation(
            venue="binance",
            instrument="BTC-USDT",
            side=2,  # type: ignore[arg-type]
            price=100,
            size=1,
            ts_event=50,
        )
    )
    tails = await read_tails(bus, "binance", ["BTC-USDT"])

    def is_published(ts_event: int, ts_ingest: int) -> bool:
        one = Liquidation(MARKET, 2, 100, 1, ts_event, 1, ts_ingest, 1)
        return is_news(LiquidationOut(one, "s"), tails, 40)

    assert [is_published(50, 51), is_published(60, 61), is_published(30, 39)] == [
        False,
        True,
        False,
    ]


def test_gaps_of_a_reserve_that_end_after_the_tail_are_written() -> None:
    """What broke and was closed while the last owner was already dead is named too."""
    outbox = Outbox()
    outbox.hold()
    known = {KEY: Tail(10, 10)}
    for number, ts_to, resolution in ((1, 5, 4), (2, 20, 1), (2, 20, 4), (3, 0, 1)):
        gap = new_gap(MARKET, Channel.LIQUIDATIONS, GapCause.DISCONNECT, f"{number}", 1, "")
        gap.ts_to, gap.resolution = ts_to, resolution
        outbox.put(GapOut(gap, "s"))
    for first, last in ((8, 10), (12, 14)):
        gap = new_gap(MARKET, Channel.TRADES, GapCause.SEQUENCE_BREAK, f"{first}", 1, "")
        gap.first_missing, gap.last_missing = first, last
        outbox.put(GapOut(gap, "s"))
    held = [item for item in outbox.release() if is_news(item, known, 0)]
    found = [(item.gap.id.rpartition(":")[2], item.gap.resolution) for item in held]  # type: ignore[union-attr]
    assert found == [("2", 4), ("3", 1), ("12", 1)]


def test_a_restart_is_named_at_once_and_once_more_when_repaired() -> None:
    """A second kill before the repair leaves gaps that the next owner finds open and closes."""
    old = LeftGap(id=f"{KEY}:books:1", channel=Channel.BOOKS, cause=7, ts_from=1)
    tail = Tail(10, 10, (old,))
    feed, outbox, _ = feed_of(tail)
    feed.restarted(tail)
    opened = gaps(outbox)
    assert {(g.channel, g.resolution) for g in opened} == {(1, 1), (2, 1), (4, 1)}
    feed.connected(Channel.TRADES, 0, GapCause.RESTART)
    feed.caught_up(None)
    feed.on_book(BookChange(MARKET, True, 1, 1, -1, [1], [1], [2], [1], 20, 2, 0), 0)
    closed = {g.id: (g.resolution, g.ts_to) for g in gaps(outbox)}
    assert closed == {
        f"{KEY}:trades:11": (GapResolution.BACKFILLED, 10),
        f"{KEY}:books:10": (GapResolution.RESYNCED, 20),
        f"{KEY}:books:1": (GapResolution.RESYNCED, 20),
    }


def test_trades_that_a_reserve_had_to_let_go_are_fetched() -> None:
    """Its tape is ahead of the topic and nothing of what lies between is in hand."""
    feed, _, asked = feed_of(Tail())
    for sequence in (9, 10, 11, 12):
        feed.on_trade(trade(sequence), 0)
    feed.adopt(Tail(10, 10), None, 9)
    assert [hole.missing for hole in asked.holes] == [[(11, 12)]]
