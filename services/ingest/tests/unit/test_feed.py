"""One instrument from events to what is published and repaired."""

from teleglas_ingest.adapters.publisher import partition_of
from teleglas_ingest.domain.continuity import RangeRule
from teleglas_ingest.domain.events import (
    BookChange,
    Channel,
    Gap,
    GapCause,
    GapResolution,
    Ticker,
    Trade,
)
from teleglas_ingest.domain.progress import SourceClock, VenueClock
from teleglas_ingest.domain.tape import Hole
from teleglas_ingest.pipeline.feed import FeedPolicy, MarketFeed, Tail
from teleglas_ingest.pipeline.marks import Marks
from teleglas_ingest.pipeline.meters import Counts
from teleglas_ingest.pipeline.outbox import (
    BookOut,
    GapOut,
    Outbox,
    ProgressOut,
    TickerOut,
    TradesOut,
)
from teleglas_ingest.testing import spot

MARKET = spot()
MS = 1_000_000


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


def feed_of(tail: Tail | None = None, **policy: int) -> tuple[MarketFeed, Outbox, Asked]:
    outbox, asked = Outbox(), Asked()
    feed = MarketFeed(
        MARKET,
        outbox,
        asked,
        Counts(),
        rule=RangeRule(),
        in_band=False,
        policy=FeedPolicy(**policy),
        tail=tail or Tail(),
        first_book_epoch=5,
    )
    feed.sources = dict.fromkeys(Channel, "binance/0/stream-0")
    return feed, outbox, asked


def trade(sequence: int, ts: int = 0) -> Trade:
    return Trade(MARKET, sequence, 1, 100, 1, ts or sequence * MS, 0)


def book(first: int, last: int, *, snapshot: bool = False, ts: int = 1) -> BookChange:
    return BookChange(MARKET, snapshot, first, last, -1, [10], [1], [20], [1], ts, 2, 0)


def quote(sequence: int, ts_ingest: int) -> Ticker:
    return Ticker(MARKET, -8, -8, 0, 3, ts_ingest, sequence, 10, 1, 20, 1)


def gaps(outbox: Outbox) -> list[Gap]:
    return [item.gap for item in outbox.take_now(1000) if isinstance(item, GapOut)]


def test_trades_leave_in_batches_and_repeats_do_not() -> None:
    """Order is the venue's, each id once."""
    feed, outbox, _ = feed_of()
    for sequence in (1, 2, 2, 3, 1):
        feed.on_trade(trade(sequence), 0)
    feed.tick(19 * MS, 0)
    assert len(outbox) == 0
    feed.tick(20 * MS, 0)
    (out,) = outbox.take_now(10)
    assert isinstance(out, TradesOut)
    assert [t.sequence for t in out.trades] == [1, 2, 3]
    assert feed.tape.repeats == 2


def test_a_hole_is_a_gap_that_is_revised_under_its_id_when_filled() -> None:
    """Open when seen, backfilled when every id came, with the times around it."""
    feed, outbox, asked = feed_of()
    feed.on_trade(trade(1), 0)
    feed.on_trade(trade(5), 0)
    (hole,) = asked.holes
    assert feed.held_at == 1 * MS
    for sequence in (2, 3, 4):
        feed.on_trade(trade(sequence), 0)
    feed.close_hole(hole, lost=0, detail="")
    first, last = gaps(outbox)
    assert first.id == last.id == "binance:BTC-USDT:trades:2"
    assert (first.resolution, last.resolution) == (GapResolution.OPEN, GapResolution.BACKFILLED)
    assert (last.first_missing, last.last_missing, last.recovered) == (2, 4, 3)
    assert (last.ts_from, last.ts_to) == (1 * MS, 5 * MS)
    assert feed.held_at is None


def test_a_disconnect_is_one_gap_whatever_comes_of_it() -> None:
    """The hole that shows after the reconnect takes the disconnect's gap over."""
    feed, outbox, asked = feed_of()
    feed.on_trade(trade(1), 0)
    feed.disconnected(Channel.TRADES, 9 * MS, GapCause.DISCONNECT, "gone")
    feed.connected(Channel.TRADES, 0, GapCause.DISCONNECT)
    assert asked.calls == ["catch_up"]
    feed.caught_up(feed.tape.expect(4, 4 * MS))
    feed.close_hole(asked.holes[0], lost=3, detail="older than the venue gives")
    found = gaps(outbox)
    assert {gap.id for gap in found} == {"binance:BTC-USDT:trades:2"}
    assert [gap.resolution for gap in found] == [
        GapResolution.OPEN,
        GapResolution.OPEN,
        GapResolution.LOST,
    ]
    assert {gap.cause for gap in found} == {GapCause.DISCONNECT}


def test_a_disconnect_without_a_missing_trade_is_closed_as_complete() -> None:
    """Nothing was traded meanwhile: the gap says that nothing is missing."""
    feed, outbox, _ = feed_of()
    feed.on_trade(trade(1), 0)
    feed.disconnected(Channel.TRADES, 9 * MS, GapCause.DISCONNECT, "gone")
    feed.connected(Channel.TRADES, 0, GapCause.DISCONNECT)
    feed.caught_up(None)
    last = gaps(outbox)[-1]
    assert last.resolution == GapResolution.BACKFILLED
    assert last.last_missing < last.first_missing


def test_a_broken_book_is_a_gap_until_a_snapshot_came() -> None:
    """The new epoch begins with a snapshot; the gap says that it was resynced."""
    feed, outbox, asked = feed_of()
    feed.on_book(book(1, 1, snapshot=True), 0)
    feed.on_book(book(5, 6), 0)
    assert asked.calls == ["resync"]
    feed.on_book(book(6, 6, snapshot=True, ts=9), 1)
    items = outbox.take_now(100)
    epochs = [item.update.epoch for item in items if isinstance(item, BookOut)]
    assert epochs == [5, 6]
    found = [item.gap for item in items if isinstance(item, GapOut)]
    assert [gap.resolution for gap in found] == [GapResolution.OPEN, GapResolution.RESYNCED]


def test_a_snapshot_goes_out_at_least_every_ten_seconds() -> None:
    """By our clock when the book is quiet, by event time when it is replayed."""
    feed, outbox, _ = feed_of()
    feed.on_book(book(1, 1, snapshot=True), 1)
    feed.tick(10_000 * MS, 0)
    assert len(outbox) == 1
    feed.tick(10_000 * MS + 1, 0)
    feed.on_book(book(2, 2, ts=10_001 * MS), 10_000 * MS + 2)
    kinds = [item.update.is_snapshot for item in outbox.take_now(10) if isinstance(item, BookOut)]
    assert kinds == [True, True, False, True]


def test_quick_quotes_are_conflated_to_the_last_of_a_window() -> None:
    """A reader of the topic sees the newest bid and ask of each window."""
    feed, outbox, _ = feed_of(ticker_window_ns=50 * MS)
    for sequence, at in ((1, 1), (2, 20), (3, 49), (4, 51), (5, 60)):
        feed.on_ticker(quote(sequence, at * MS), 0)
    feed.flush()
    out = [item.ticker.sequence for item in outbox.take_now(10) if isinstance(item, TickerOut)]
    assert out == [3, 5]


def test_a_new_process_names_what_it_cannot_know() -> None:
    """Books resync and liquidations are lost from where the last process stopped."""
    feed, outbox, asked = feed_of(Tail(7, 70 * MS))
    feed.restarted(Tail(7, 70 * MS))
    for channel in Channel:
        feed.connected(channel, 0, GapCause.RESTART)
    assert asked.calls == ["catch_up", "resync"]
    feed.proven(Channel.LIQUIDATIONS, 80 * MS)
    feed.on_book(book(1, 1, snapshot=True, ts=90 * MS), 1)
    feed.on_trade(trade(9), 0)
    last = {gap.channel: gap for gap in gaps(outbox)}
    found = {(gap.channel, gap.cause, gap.resolution) for gap in last.values()}
    assert found == {
        (Channel.LIQUIDATIONS, GapCause.RESTART, GapResolution.LOST),
        (Channel.BOOKS, GapCause.RESTART, GapResolution.RESYNCED),
        (Channel.TRADES, GapCause.RESTART, GapResolution.OPEN),
    }


def test_a_silence_that_hid_trades_is_resubscribed() -> None:
    """The venue's newest trade says whether the silence was real."""
    feed, _, asked = feed_of()
    feed.on_trade(trade(1), 0)
    feed.connected(Channel.TRADES, 0, GapCause.SILENCE)
    feed.caught_up(feed.tape.expect(3, 3 * MS))
    assert asked.calls == ["catch_up", "resubscribe TRADES"]


def test_a_mark_goes_out_behind_the_trades_that_it_covers() -> None:
    """What is in hand is published first, and a hole holds the mark back."""
    feed, outbox, asked = feed_of()
    clock = SourceClock(VenueClock(), slack_ns=0, skew_ns=0)
    marks = Marks("binance", "s", clock, [(Channel.TRADES, feed)], outbox, partition_of)
    feed.on_trade(trade(1), 0)
    clock.see(1 * MS)
    marks.emit()
    marks.emit()
    out = outbox.take_now(10)
    assert [type(item) for item in out] == [TradesOut, ProgressOut]
    feed.on_trade(trade(3), 0)
    clock.see(3 * MS)
    marks.emit()
    assert not [item for item in outbox.take_now(10) if isinstance(item, ProgressOut)]
    feed.on_trade(trade(2), 0)
    feed.close_hole(asked.holes[0], lost=0, detail="")
    marks.emit()
    marks.retire()
    last = [item for item in outbox.take_now(10) if isinstance(item, ProgressOut)]
    assert [(mark.ts_event, mark.retired) for mark in last] == [(3 * MS, False), (3 * MS, True)]


def held(feed: MarketFeed) -> int | None:
    return feed.held_at


def test_a_break_holds_the_marks_until_the_venue_told_what_it_hid() -> None:
    """From the break on, not from the new subscription; and through a second break."""
    feed, _, asked = feed_of()
    feed.on_trade(trade(1), 0)
    assert held(feed) is None
    feed.disconnected(Channel.TRADES, 0, GapCause.DISCONNECT, "gone")
    assert held(feed) == 1 * MS
    feed.connected(Channel.TRADES, 0, GapCause.DISCONNECT)
    feed.disconnected(Channel.TRADES, 0, GapCause.DISCONNECT, "gone again")
    feed.caught_up(None)
    assert held(feed) == 1 * MS
    feed.connected(Channel.TRADES, 0, GapCause.DISCONNECT)
    assert asked.calls == ["catch_up", "catch_up"]
    feed.caught_up(None)
    assert held(feed) is None


def test_a_new_process_holds_its_marks_from_the_start() -> None:
    """Before its connections stand it knows nothing of what was traded since the tail."""
    feed, _, _ = feed_of(Tail(7, 70 * MS))
    assert held(feed) == 70 * MS
    feed.connected(Channel.TRADES, 0, GapCause.RESTART)
    feed.caught_up(None)
    assert held(feed) is None


def test_a_source_that_promised_nothing_retires_without_a_word() -> None:
    """A mark without a time would be refused by its readers."""
    feed, outbox, _ = feed_of()
    clock = SourceClock(VenueClock(), slack_ns=0, skew_ns=0)
    Marks("binance", "s", clock, [(Channel.TRADES, feed)], outbox, partition_of).retire()
    assert len(outbox) == 0


def test_a_gap_of_liquidations_ends_with_the_first_time_after_it() -> None:
    """Neither at 0, before anything was heard, nor at a time from before the break."""
    feed, outbox, _ = feed_of()
    feed.disconnected(Channel.LIQUIDATIONS, 50 * MS, GapCause.DISCONNECT, "gone")
    feed.connected(Channel.LIQUIDATIONS, 50 * MS, GapCause.DISCONNECT)
    feed.proven(Channel.LIQUIDATIONS, 50 * MS)
    assert [gap.resolution for gap in gaps(outbox)] == [GapResolution.OPEN]
    feed.proven(Channel.LIQUIDATIONS, 60 * MS)
    (gap,) = gaps(outbox)
    assert (gap.resolution, gap.ts_from, gap.ts_to) == (GapResolution.LOST, 50 * MS, 60 * MS)


def test_a_gap_of_tickers_ends_with_the_first_that_has_a_time() -> None:
    """A quote of a venue that gives it none proves nothing."""
    feed, outbox, _ = feed_of()
    feed.disconnected(Channel.TICKERS, 50 * MS, GapCause.DISCONNECT, "gone")
    feed.on_ticker(quote(1, 55 * MS), 0)
    feed.on_ticker(Ticker(MARKET, -8, -8, 60 * MS, 2, 61 * MS), 0)
    assert [(gap.resolution, gap.ts_to) for gap in gaps(outbox)] == [(1, 0), (3, 60 * MS)]


def test_a_book_that_resyncs_holds_its_marks_for_a_while() -> None:
    """The snapshot to come is of a time that is not promised yet; a dead book blocks no one."""
    feed, outbox, _ = feed_of(book_hold_ns=100 * MS)
    clock = SourceClock(VenueClock(), slack_ns=0, skew_ns=0)
    marks = Marks("binance", "s", clock, [(Channel.BOOKS, feed)], outbox, partition_of)

    def marked(at: int) -> list[int]:
        clock.see(at)
        marks.emit()
        return [i.ts_event for i in outbox.take_now(100) if isinstance(i, ProgressOut)]

    feed.tick(1, 0)
    assert marked(5) == []
    feed.on_book(book(1, 1, snapshot=True, ts=10), 1)
    assert marked(12) == [12]
    feed.on_book(book(5, 6, ts=20), 2)
    assert marked(30) == []
    feed.on_book(book(6, 6, snapshot=True, ts=40), 3)
    assert marked(50) == [50]
    feed.on_book(book(9, 9, ts=60), 4)
    feed.tick(5, 0)
    assert marked(70) == []
    feed.tick(6 + 100 * MS, 0)
    assert marked(80) == [80]


def test_marks_of_a_reserve_bind_from_the_take_over_on() -> None:
    """What it would have promised while another wrote is no word of its own."""
    feed, outbox, _ = feed_of()
    clock = SourceClock(VenueClock(), slack_ns=0, skew_ns=0)
    marks = Marks("binance", "s", clock, [(Channel.TRADES, feed)], outbox, partition_of)
    clock.see(9 * MS)
    marks.emit()
    outbox.take_now(10)
    marks.begin()
    marks.retire()
    assert len(outbox) == 0
