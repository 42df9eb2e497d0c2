"""One shard of a venue while we own it: its feeds, its connections, and what keeps them going."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random

import msgspec
import structlog
from msgspec import Struct

from teleglas_ingest.domain.events import (
    BookChange,
    Channel,
    Event,
    GapCause,
    Liquidation,
    SpentTradeId,
    Ticker,
    Trade,
)
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.domain.numbers import RefusedError
from teleglas_ingest.domain.progress import MarkCadence, SourceClock, VenueClock
from teleglas_ingest.domain.silence import Silent
from teleglas_ingest.pipeline.event_rounds import EventRounds
from teleglas_ingest.pipeline.feed import FeedPolicy, MarketFeed
from teleglas_ingest.pipeline.held import is_news
from teleglas_ingest.pipeline.link import Link, LinkTiming
from teleglas_ingest.pipeline.marks import Marks
from teleglas_ingest.pipeline.meters import Meters
from teleglas_ingest.pipeline.outbox import DeadFrame, Outbox, TradesOut
from teleglas_ingest.pipeline.pace import Pace
from teleglas_ingest.pipeline.plan import LinkPlan, plan_links
from teleglas_ingest.pipeline.repair import RepairPolicy, RepairShop
from teleglas_ingest.pipeline.session import MAX_DEAD_FRAME_BYTES, Session
from teleglas_ingest.pipeline.tail import Tail
from teleglas_ingest.ports import Dialer, Failure, RestError, Stream, Venue

__all__ = ["Shard", "ShardPolicy"]

_log = structlog.get_logger(__name__)

IDLE_TICK_S = 0.25
"""Between looks at what waits to be written while nothing comes."""


class ShardPolicy(Struct, frozen=True, kw_only=True):
    """How one shard is run. Times of its parts stand in their own policies."""

    channels: tuple[Channel, ...] = tuple(Channel)
    feed: FeedPolicy = FeedPolicy()
    link: LinkTiming = LinkTiming()
    repair: RepairPolicy = RepairPolicy()
    progress_every_s: float = 0.25
    progress_slack_ms: int = 100
    progress_skew_ms: int = 500
    open_interest_every_s: float = 30.0
    streams_per_connection: int | None = None
    lease_ttl_s: float = 10.0


class Shard:
    """Owns feeds and links of some markets of one venue from `run` until it is cancelled."""

    def __init__(
        self,
        venue: Venue,
        number: int,
        markets: Sequence[Market],
        tails: Mapping[str, Tail],
        outbox: Outbox,
        dialer: Dialer,
        connects: Pace,
        meters: Meters,
        *,
        writer_epoch: int,
        policy: ShardPolicy,
        partition: Callable[[Channel, str], int],
        random: Random,
        wall_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._venue = venue
        self._outbox = outbox
        self._meters = meters
        self._policy = policy
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._silences: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._rounds = EventRounds(wall_ns, policy.feed.max_batch_age_ns)
        self._counted: Counter[str] = Counter()
        self._repairs = RepairShop(
            venue,
            self._resubscribe,
            meters,
            policy=policy.repair,
            random=random,
            wall_ns=wall_ns,
            monotonic_ns=monotonic_ns,
        )
        by_symbol = {market.instrument.venue_symbol: market for market in markets}
        self._by_venue_symbol = by_symbol
        self.feeds = {
            market.key: MarketFeed(
                market,
                outbox,
                self._repairs,
                meters,
                rule=venue.rule,
                in_band=venue.book_in_band,
                policy=policy.feed,
                tail=tails.get(market.key, Tail()),
                first_book_epoch=(writer_epoch << 20) + 1,
            )
            for market in markets
        }
        clock = VenueClock()
        self.links: list[Link] = []
        self._marks: list[Marks] = []
        self._link_of: dict[tuple[Channel, str], tuple[Link, LinkPlan]] = {}
        for plan in plan_links(
            venue,
            number,
            markets,
            policy.channels,
            streams_per_connection=policy.streams_per_connection,
        ):
            source = SourceClock(
                clock,
                slack_ns=policy.progress_slack_ms * 1_000_000,
                skew_ns=policy.progress_skew_ms * 1_000_000,
            )
            link = Link(
                venue,
                plan.source,
                plan.path,
                plan.streams,
                by_symbol,
                self,
                source,
                dialer,
                connects,
                meters,
                timing=policy.link,
                random=random,
                wall_ns=wall_ns,
                monotonic_ns=monotonic_ns,
            )
            covered: list[tuple[Channel, MarketFeed]] = []
            for channel, market in plan.markets:
                feed = self.feeds[market.key]
                feed.sources.setdefault(channel, plan.source)
                if feed.sources[channel] == plan.source:
                    covered.append((channel, feed))
                    self._link_of[channel, market.key] = (link, plan)
            self.links.append(link)
            self._marks.append(Marks(venue.name, plan.source, source, covered, outbox, partition))
        for key, feed in self.feeds.items():
            if key in tails:
                feed.restarted(tails[key])
        outbox.on_pressure(self._press)

    async def run(self) -> None:
        """Run until cancelled; then say the sources' last word."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._repairs.run())
                tasks.create_task(self._tick())
                tasks.create_task(self._progress())
                tasks.create_task(self._poll_open_interest())
                for link in self.links:
                    tasks.create_task(link.run())
        finally:
            for link in self.links:
                link.stop()
            for feed in self.feeds.values():
                feed.flush()
            for marks in self._marks:
                marks.retire()

    def adopt(self, tails: Mapping[str, Tail], writer_epoch: int) -> None:
        """Begin to write what was only held: another process has just let go of the shard. Trades
        that it still wrote are left out, what it missed is fetched.
        """
        for feed in self.feeds.values():
            feed.flush()
        held = self._outbox.release()
        first: dict[str, Trade] = {}
        for item in held:
            if isinstance(item, TradesOut):
                first.setdefault(item.market.key, item.trades[0])
        for key, feed in self.feeds.items():
            feed.adopt(tails.get(key, Tail()), first.get(key), (writer_epoch << 20) + 1)
            if Channel.BOOKS in feed.sources:
                feed.begin_book(self._monotonic_ns(), self._wall_ns())
        for marks in self._marks:
            marks.begin()
        since_ns = self._wall_ns() - int(2 * self._policy.lease_ttl_s * 1e9)
        for item in held:
            if is_news(item, tails, since_ns):
                self._outbox.put(item)

    def renew(self) -> None:
        """Replace every connection by a new one, made before the old one is broken off."""
        for link in self.links:
            link.renew()

    # --- LinkOwner ---------------------------------------------------------------------------

    def take(self, event: Event, session: Session) -> None:
        feed = self.feeds[event.market.key]
        now_ns = self._monotonic_ns()
        if session.standby and isinstance(event, Trade | SpentTradeId):  # noqa: SIM102
            if feed.leaves_hole(event) and session.hold(event):
                return
        self._events[type(event).__name__] += 1
        self._rounds.event()
        if isinstance(event, Trade):
            feed.on_trade(event, now_ns)
        elif isinstance(event, Ticker):
            feed.on_ticker(event, now_ns)
        elif isinstance(event, BookChange):
            feed.on_book(event, now_ns, standby=session.standby)
        elif isinstance(event, Liquidation):
            feed.on_liquidation(event, now_ns)
        elif isinstance(event, SpentTradeId):
            feed.on_spent(event, now_ns)

    def refuse(self, frame: bytes, stream: Stream | None, reason: str, detail: str) -> None:
        self._meters.refused(self._venue.name, reason)
        channel = stream.channel if stream is not None else Channel.TRADES
        market = self._by_venue_symbol.get(stream.venue_symbol) if stream is not None else None
        source = ""
        subject = market.symbol if market is not None else self._venue.name
        if market is not None:
            source = self.feeds[market.key].sources.get(channel, "")
        self._outbox.put(
            DeadFrame(
                self._venue.name,
                channel,
                subject,
                frame[:MAX_DEAD_FRAME_BYTES],
                reason,
                detail[:500],
                source,
                self._wall_ns(),
            )
        )
        if market is not None and channel is Channel.BOOKS:
            feed = self.feeds[market.key]
            feed.disconnected(channel, 0, GapCause.REFUSED_FRAME, f"{reason}: {detail[:200]}")
            feed.want_book()

    def silent(self, session: Session, stream: Stream, silent: Silent) -> None:  # noqa: ARG002
        feed = self._feed_of(stream)
        if feed is None:
            return
        if stream.probe:
            feed.connected(stream.channel, 0, GapCause.SILENCE)
            return
        self._silences[stream.name] += 1
        cause = GapCause.SUBSCRIPTION if silent.never_spoke else GapCause.SILENCE
        self._meters.silent(self._venue.name)
        detail = f"{stream.name} said nothing for {silent.quiet_ns / 1e9:.0f} s"
        _log.warning("silent subscription", venue=self._venue.name, detail=detail)
        feed.disconnected(stream.channel, 0, cause, detail)
        link, _ = self._link_of[stream.channel, feed.market.key]
        if self._silences[stream.name] % 2 == 0:
            link.reconnect(cause, detail)
        else:
            self._repairs.resubscribe(feed, stream.channel)
            feed.connected(stream.channel, 0, cause)

    def failed(self, session: Session, failure: Failure) -> None:  # noqa: ARG002
        self._meters.refused(self._venue.name, f"subscription_{failure.code}")
        _log.error("venue refused a request", venue=self._venue.name, detail=failure.detail)

    def closing(self, session: Session, notice: str) -> None:
        _log.info("venue announces a close", venue=self._venue.name, notice=notice)
        for link in self.links:
            if link.session is session:
                link.renew()

    def up(self, link: Link, cause: GapCause) -> None:
        for channel, feed in self._carried(link):
            feed.connected(channel, link.clock.newest, cause)

    def down(self, link: Link, cause: GapCause, detail: str) -> None:
        for channel, feed in self._carried(link):
            feed.disconnected(channel, link.clock.newest, cause, detail)

    # --- inside ------------------------------------------------------------------------------

    def _carried(self, link: Link) -> list[tuple[Channel, MarketFeed]]:
        return [
            (channel, self.feeds[key])
            for (channel, key), (owner, _) in self._link_of.items()
            if owner is link
        ]

    def _feed_of(self, stream: Stream) -> MarketFeed | None:
        market = self._by_venue_symbol.get(stream.venue_symbol)
        return self.feeds[market.key] if market is not None else None

    async def _resubscribe(self, feed: MarketFeed, channel: Channel) -> None:
        found = self._link_of.get((channel, feed.market.key))
        if found is None:
            return
        link, plan = found
        symbol = feed.market.instrument.venue_symbol
        await link.resubscribe(
            [s for s in plan.streams if s.channel is channel and s.venue_symbol == symbol]
        )

    def _press(self, pressed: bool) -> None:
        for link in self.links:
            link.press(pressed)

    async def _tick(self) -> None:
        """While events come, a tick each round; else the next is when something is due."""
        wait_s = IDLE_TICK_S
        while True:
            early_ns = await self._rounds.wait(wait_s)
            now_ns, ts_ingest = self._monotonic_ns() + early_ns, self._wall_ns() + early_ns
            waits = [feed.tick(now_ns, ts_ingest) for feed in self.feeds.values()]
            due_ns = min((wait for wait in waits if wait is not None), default=None)
            wait_s = IDLE_TICK_S if due_ns is None else min(max(due_ns / 1e9, 0.0), IDLE_TICK_S)

    async def _progress(self) -> None:
        """At round times, so that the marks of all venues leave together."""
        every_s = self._policy.progress_every_s
        cadences = [MarkCadence(every_s) for _ in self.links]
        while True:
            await asyncio.sleep(every_s - self._wall_ns() / 1e9 % every_s)
            now_ns = self._wall_ns()
            for (channel, key), (link, _) in self._link_of.items():
                self.feeds[key].proven(channel, link.clock.newest)
            for link, marks, cadence in zip(self.links, self._marks, cadences, strict=True):
                if cadence.is_due(link.frames, link.clock.newest, now_ns):
                    marks.emit()
            self._count()

    def _count(self) -> None:
        """Tell the meters what was done since the last time."""
        name = self._venue.name
        frames = sum(link.frames for link in self.links)
        self._meters.frames(name, frames - self._counted["frames"])
        self._counted["frames"] = frames
        repeats = sum(feed.tape.repeats for feed in self.feeds.values())
        self._meters.repeated(name, repeats - self._counted["repeats"])
        self._counted["repeats"] = repeats
        for kind, count in self._events.items():
            self._meters.events(name, kind, count)
        self._events.clear()
        self._meters.connections(name, sum(link.session is not None for link in self.links))
        gaps = [feed.open_gaps for feed in self.feeds.values()]
        self._meters.open_gaps(name, "trades", sum(trades for trades, _ in gaps))
        self._meters.open_gaps(name, "books", sum(books for _, books in gaps))
        newest = max((link.clock.newest for link in self.links), default=0)
        if newest:
            self._meters.delay(name, (self._wall_ns() - newest) / 1e9)

    async def _poll_open_interest(self) -> None:
        """Ask REST for open interest where no stream has it, spread over the period."""
        markets = [
            feed
            for feed in self.feeds.values()
            if Channel.TICKERS in feed.sources and feed.market.instrument.contract_multiplier
        ]
        if not markets or self._venue.open_interest_by_stream:
            return
        pause_s = self._policy.open_interest_every_s / len(markets)
        while True:
            for feed in markets:
                try:
                    ticker = await self._venue.open_interest(feed.market, self._wall_ns())
                except (RestError, RefusedError, msgspec.MsgspecError) as error:
                    _log.warning("no open interest", market=feed.market.key, error=str(error))
                else:
                    if ticker is not None:
                        feed.on_ticker(ticker, self._monotonic_ns())
                await asyncio.sleep(pause_s)
