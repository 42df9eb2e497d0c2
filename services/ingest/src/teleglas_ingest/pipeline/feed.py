"""One instrument: its events come in, what is to be published and repaired goes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from teleglas_ingest.domain.batcher import TradeBatcher
from teleglas_ingest.domain.book import BookBreak
from teleglas_ingest.domain.continuity import Continuity
from teleglas_ingest.domain.events import (
    Channel,
    Gap,
    GapCause,
    GapResolution,
    Liquidation,
    SpentTradeId,
    Ticker,
    Trade,
)
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.domain.standing import Standing
from teleglas_ingest.domain.tape import Hole, Seen, TradeTape
from teleglas_ingest.pipeline.book_feed import BookFeed
from teleglas_ingest.pipeline.gaps import taken_up
from teleglas_ingest.pipeline.meters import Meters
from teleglas_ingest.pipeline.outbox import (
    LiquidationOut,
    Outbox,
    TickerOut,
    TradesOut,
)
from teleglas_ingest.pipeline.policy import FeedPolicy
from teleglas_ingest.pipeline.quotes import Quotes
from teleglas_ingest.pipeline.tail import LeftGap, Tail

__all__ = ["FeedPolicy", "MarketFeed", "Repairs", "Tail"]


class Repairs(Protocol):
    """Work that needs the venue's REST or a new subscription. Returns at once; runs in order."""

    def backfill(self, feed: MarketFeed, hole: Hole) -> None: ...

    def catch_up(self, feed: MarketFeed) -> None:
        """Ask the venue for its newest trade and fetch what lies between."""

    def resync(self, feed: MarketFeed) -> None: ...

    def resubscribe(self, feed: MarketFeed, channel: Channel) -> None: ...


class MarketFeed(BookFeed):
    """Everything ingest remembers of one instrument while it owns it."""

    def __init__(
        self,
        market: Market,
        outbox: Outbox,
        repairs: Repairs,
        meters: Meters,
        *,
        rule: Continuity,
        in_band: bool,
        policy: FeedPolicy,
        tail: Tail,
        first_book_epoch: int,
    ) -> None:
        super().__init__(
            market,
            outbox,
            lambda: repairs.resync(self),
            meters,
            rule=rule,
            in_band=in_band,
            policy=policy,
            first_book_epoch=first_book_epoch,
        )
        self.tape = TradeTape(tail.trade_sequence, tail.ts_event)
        self._repairs = repairs
        self._book_ts = tail.ts_event
        self._standing = Standing(tail.trade_sequence)
        self._batcher = TradeBatcher(
            max_trades=policy.max_batch_trades, max_age_ns=policy.max_batch_age_ns
        )
        self._quotes = Quotes(policy.ticker_window_ns)
        self._hole_cause = GapCause.SEQUENCE_BREAK
        self._hole_gaps: dict[int, Gap] = {}
        self._down: dict[Channel, Gap] = {}
        self._last_seen: dict[Channel, int] = {}
        self._reopened_at: int | None = None

    # --- events ------------------------------------------------------------------------------

    def on_trade(self, trade: Trade, now_ns: int) -> None:
        seen = self.tape.see(trade.sequence, trade.ts_event, trade.fills)
        if seen is Seen.REPEAT:
            return
        if seen is Seen.HOLE_BEFORE:
            self._open_hole(self.tape.holes[-1])
        full = self._batcher.add(trade, now_ns)
        if full is not None:
            self._put_trades(full)

    def leaves_hole(self, event: Trade | SpentTradeId) -> bool:
        """Whether ids before this one are missing so far."""
        fills = event.fills if isinstance(event, Trade) else 1
        last = self.tape.last
        return last is not None and event.sequence - fills > last

    def on_spent(self, spent: SpentTradeId, now_ns: int) -> None:  # noqa: ARG002
        if self.tape.see(spent.sequence, spent.ts_event) is Seen.HOLE_BEFORE:
            self._open_hole(self.tape.holes[-1])

    def on_ticker(self, ticker: Ticker, now_ns: int) -> None:  # noqa: ARG002
        if ticker.ts_event:
            self._recover(Channel.TICKERS, ticker.ts_event, GapResolution.RESYNCED)
        self._put_ticker(ticker if ticker.sequence is None else self._quotes.add(ticker))

    def on_liquidation(self, liquidation: Liquidation, now_ns: int) -> None:  # noqa: ARG002
        self._last_seen[Channel.LIQUIDATIONS] = liquidation.ts_event
        self._outbox.put(LiquidationOut(liquidation, self.sources[Channel.LIQUIDATIONS]))

    def restarted(self, tail: Tail) -> None:
        """Another process wrote this instrument until `tail`: what it missed since is a gap, and
        what it left open is ours. Trades are asked for by REST; books resync; liquidations cannot
        be had.
        """
        ts_event = tail.ts_event
        self._restore(tail.left)
        for channel in (Channel.TRADES, Channel.BOOKS, Channel.LIQUIDATIONS):
            if channel not in self.sources or channel in self._down:
                continue
            detail = "a new process took over"
            gap = self._gap(channel, GapCause.RESTART, f"{ts_event}", ts_event, detail)
            if channel is Channel.TRADES:
                if self.tape.last is None:
                    continue
                gap.first_missing = self.tape.last + 1
                gap.id = f"{self.market.key}:trades:{gap.first_missing}"
            if channel is Channel.BOOKS:
                self._book_gap = gap
            else:
                self._down[channel] = gap
            self._put_gap(gap)

    def adopt(self, tail: Tail, first_held: Trade | None, book_epoch: int) -> None:
        """Take over from the process that wrote until `tail`: the book under our own epoch, and the
        trades between its last and the first one that we hold.
        """
        self.book.rebase(book_epoch)
        self._had_book = False
        last = tail.trade_sequence
        if last is not None:
            self._adopt_trades(last, tail, first_held)
        self._restore(tail.left)
        if Channel.LIQUIDATIONS in self._left:
            self._reopened_at = 0

    def _adopt_trades(self, last: int, tail: Tail, first_held: Trade | None) -> None:
        self.tape.forget(last)
        followed = {hole.first for hole in self.tape.holes}
        self._hole_gaps = {n: gap for n, gap in self._hole_gaps.items() if n in followed}
        if self.tape.last is None:
            self.tape = TradeTape(last, tail.ts_event)
            self.connected(Channel.TRADES, 0, GapCause.RESTART)
        elif first_held is None and self.tape.last > last:
            # What was held of it had to make room.
            self._reopen(last + 1, self.tape.last, tail.ts_event, self.tape.ts_event)
        elif first_held is not None and first_held.sequence - first_held.fills > last:
            end = first_held.sequence - first_held.fills
            self._reopen(last + 1, end, tail.ts_event, first_held.ts_event)

    def _reopen(self, first: int, last: int, ts_from: int, ts_to: int) -> None:
        self._hole_cause = GapCause.RESTART
        self._open_hole(self.tape.open_before(first, last, ts_from, ts_to))
        self._hole_cause = GapCause.SEQUENCE_BREAK

    # --- connection --------------------------------------------------------------------------

    def connected(self, channel: Channel, ts_event: int, cause: GapCause) -> None:
        """The channel's subscription stands (again). `ts_event`: the venue's time or 0."""
        if channel is Channel.TRADES:
            if self._standing.up(self.tape.last):
                self._hole_cause = cause
                self._repairs.catch_up(self)
        elif channel is Channel.BOOKS:
            self.want_book()
        elif channel is Channel.LIQUIDATIONS:
            self._reopened_at = ts_event

    def disconnected(self, channel: Channel, ts_event: int, cause: GapCause, detail: str) -> None:
        """The channel's frames stopped at `ts_event`: say so once, whatever comes of it."""
        if channel is Channel.BOOKS:
            self._break_book(
                BookBreak(cause, self.book.ts_event or ts_event, 0, 0, 0, detail), repair=False
            )
            return
        if channel is Channel.TRADES:
            self._standing.down(self.tape.last)
        if channel is Channel.LIQUIDATIONS:
            self._reopened_at = None
        if channel in self._down:
            return
        if channel is Channel.TRADES:
            if self.tape.last is None:
                return
            first = self.tape.last + 1
            gap = self._gap(channel, cause, f"{first}", self.tape.ts_event, detail)
            gap.first_missing = first
        else:
            since = self._last_seen.get(channel, 0) or ts_event
            gap = self._gap(channel, cause, f"{since}", since, detail)
        self._down[channel] = gap
        self._put_gap(gap)

    def proven(self, channel: Channel, ts_event: int) -> None:
        """The channel's connection has seen this time. The first after a break ends it:
        liquidations are too rare to wait for one.
        """
        reopened_at = self._reopened_at
        if channel is Channel.LIQUIDATIONS and reopened_at is not None and ts_event > reopened_at:
            self._reopened_at = None
            self._recover(channel, ts_event, GapResolution.LOST)

    # --- repairs -----------------------------------------------------------------------------

    def caught_up(self, hole: Hole | None) -> None:
        """The venue told its newest trade: everything before it is here or in `hole`."""
        if hole is not None:
            if self._hole_cause is GapCause.SILENCE:
                self._repairs.resubscribe(self, Channel.TRADES)
            self._open_hole(hole)
        if not self._standing.answered():
            if self._standing.ask_again(self.tape.last):
                self._repairs.catch_up(self)
            return
        self._close_break(GapResolution.BACKFILLED, "")

    def gave_up(self, detail: str) -> None:
        """The venue did not tell in time what was traded: it may be lost."""
        last = self.tape.last
        if not self._standing.answered() or last is None:
            self.caught_up(None)
            return
        if Channel.TRADES not in self._down:
            gap = self._gap(
                Channel.TRADES, self._hole_cause, f"{last + 1}", self.tape.ts_event, detail
            )
            gap.first_missing = last + 1
            self._down[Channel.TRADES] = gap
        self._close_break(GapResolution.LOST, detail)

    @property
    def has_moved(self) -> bool:
        """A trade came in after the break."""
        return self._standing.has_moved(self.tape.last)

    def _close_break(self, resolution: GapResolution, detail: str) -> None:
        down = self._down.pop(Channel.TRADES, None)
        if down is not None:
            down.resolution = resolution
            if resolution is GapResolution.BACKFILLED:
                down.ts_to = self.tape.ts_event
            down.last_missing = down.first_missing - 1
            down.detail = detail or down.detail
            self._put_gap(down)
        self._hole_cause = GapCause.SEQUENCE_BREAK

    @property
    def open_gaps(self) -> tuple[int, int]:
        """Breaks of trades, and of the book, that are not mended or given up yet."""
        return len(self._hole_gaps), int(self._book_gap is not None)

    def close_hole(self, hole: Hole, *, lost: int, detail: str) -> None:
        """All that could be fetched of a hole is in; `lost` ids cannot be had."""
        self.tape.close(hole)
        gap = self._hole_gaps.pop(hole.first, None)
        if gap is None:
            return
        gap.recovered = hole.recovered
        gap.resolution = GapResolution.LOST if lost else GapResolution.BACKFILLED
        gap.detail = detail
        self._meters.backfilled(self.market.venue, hole.recovered)
        self._meters.lost(self.market.venue, lost)
        self._put_gap(gap)

    def newest(self, channel: Channel) -> int:
        """Event time of the newest that a channel brought; 0 where it is not followed."""
        if channel is Channel.TRADES:
            return self.tape.ts_event
        return self.book.ts_event if channel is Channel.BOOKS else 0

    def held(self, channel: Channel) -> int | None:
        """Event time after which a channel's records may still be incomplete."""
        if channel is Channel.TRADES:
            return self.held_at
        return self.book_held_at if channel is Channel.BOOKS else None

    @property
    def held_at(self) -> int | None:
        """Event time after which this instrument's trades may still be incomplete."""
        held = self.tape.held_at
        if self._standing.behind_at is not None:
            held = min(held, self.tape.ts_event) if held is not None else self.tape.ts_event
        return held

    # --- time --------------------------------------------------------------------------------

    def tick(self, now_ns: int, ts_ingest: int) -> int | None:
        """Publish what is due; return after how many ns the rest is, None where nothing waits.
        Called some two hundred times a second while frames come.
        """
        self.watch_book(now_ns)
        due = self._batcher.due(now_ns)
        if due is not None:
            self._put_trades(due)
        self._put_ticker(self._quotes.due(ts_ingest))
        if now_ns - self._snapshot_ns >= self._policy.snapshot_every_ns:
            self._put_snapshot(now_ns, ts_ingest)
        trades_ns, quote_ts = self._batcher.due_ns, self._quotes.due_ts
        if quote_ts is None:
            return trades_ns - now_ns if trades_ns is not None else None
        quote_in = quote_ts - ts_ingest
        return quote_in if trades_ns is None else min(quote_in, trades_ns - now_ns)

    def flush(self) -> None:
        """Publish all that is in hand: a progress mark or the end follows."""
        rest = self._batcher.take()
        if rest is not None:
            self._put_trades(rest)
        self._put_ticker(self._quotes.take())

    # --- inside ------------------------------------------------------------------------------

    def _restore(self, left: Sequence[LeftGap]) -> None:
        """Take up the gaps that the last writer left open."""
        for one in left:
            channel, gap = Channel(one.channel), taken_up(self.market, one)
            if channel is Channel.TRADES:
                self._restore_trades(gap, one.missing)
            else:
                self._left.setdefault(channel, []).append(gap)

    def _restore_trades(self, gap: Gap, missing: Sequence[tuple[int, int]]) -> None:
        last, first = self.tape.last, gap.first_missing
        if last is not None and first == last + 1:
            # The catch-up that follows tells what became of it.
            gap.ts_to = gap.last_missing = 0
            self._down[Channel.TRADES] = gap
            return
        if last is not None and gap.last_missing > last:
            gap.last_missing = last
        gap.recovered = max(0, gap.last_missing - first + 1)
        gap.recovered -= sum(high - low + 1 for low, high in missing)
        if not missing:
            gap.resolution = GapResolution.BACKFILLED if last is not None else GapResolution.LOST
            self._put_gap(gap)
            return
        hole = self.tape.open_before(first, gap.last_missing, gap.ts_from, gap.ts_to)
        hole.missing, hole.recovered = list(missing), gap.recovered
        self._follow(hole, gap)

    def _open_hole(self, hole: Hole) -> None:
        down = self._down.get(Channel.TRADES)
        cause = self._hole_cause
        if down is not None and down.first_missing == hole.first:
            cause = GapCause(down.cause)
            del self._down[Channel.TRADES]
        gap = self._gap(Channel.TRADES, cause, f"{hole.first}", hole.ts_from, "")
        gap.ts_to = hole.ts_to
        gap.first_missing, gap.last_missing = hole.first, hole.last
        self._meters.gap(self.market.venue, "trades", GapCause(gap.cause).name.lower())
        self._put_gap(gap)
        self._follow(hole, gap)

    def _follow(self, hole: Hole, gap: Gap) -> None:
        self._hole_gaps[hole.first] = gap
        self._repairs.backfill(self, hole)
        given_up = self.tape.overflow()
        if given_up is not None:
            self.close_hole(given_up, lost=given_up.open_ids, detail="too many holes at once")

    def _put_trades(self, trades: list[Trade]) -> None:
        self._outbox.put(TradesOut(self.market, trades, self.sources[Channel.TRADES]))

    def _put_ticker(self, ticker: Ticker | None) -> None:
        if ticker is not None:
            self._outbox.put(TickerOut(ticker, self.sources[Channel.TICKERS]))

    def _recover(self, channel: Channel, ts_event: int, resolution: GapResolution) -> None:
        if ts_event:
            self._last_seen[channel] = ts_event
        if self._left:
            self._close_left(channel, resolution, ts_event)
        gap = self._down.pop(channel, None) if self._down else None
        if gap is not None:
            gap.resolution = resolution
            gap.ts_to = ts_event
            self._put_gap(gap)
