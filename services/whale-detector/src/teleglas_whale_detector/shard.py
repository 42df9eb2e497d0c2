"""One partition number of the detector: everything about some base assets, in one state."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import PRINT_KIND_MARKET, TradeBatch
from teleglas.whale.v1.whale_pb2 import Threshold
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import Outgoing
from teleglas_common.bus.shards import Fence
from teleglas_common.clock import Clock
from teleglas_common.progress import ProgressTracker
from teleglas_common.topic_marks import GONE_NS, TopicMarks
from teleglas_contracts import topics
from teleglas_whale_detector.adapters.messages import alert_message
from teleglas_whale_detector.book_desk import BookDesk
from teleglas_whale_detector.counts import Counts
from teleglas_whale_detector.desk import Desk
from teleglas_whale_detector.domain.alerts import Alert, Stage
from teleglas_whale_detector.domain.cascade import CascadeRules, Cascades
from teleglas_whale_detector.domain.instrument import Instrument
from teleglas_whale_detector.domain.parents import SECOND_NS, FillRow
from teleglas_whale_detector.domain.sketch import Definition
from teleglas_whale_detector.domain.slices import SliceRules
from teleglas_whale_detector.ports import Market, States
from teleglas_whale_detector.state import (
    dump_cascades,
    dump_cold,
    dump_instrument,
    load_cascades,
    load_cold,
    load_instrument,
    pack,
    pack_alert,
    pack_seen,
    unpack,
    unpack_alert,
    unpack_seen,
)
from teleglas_whale_detector.table_keys import cold_key, head_key
from teleglas_whale_detector.traced import TracedTrades

__all__ = ["BOOKS", "LIQUIDATIONS", "TRADES", "Tools", "WhaleShard"]

TRADES = topics.MARKET_TRADES_V1.name
BOOKS = topics.MARKET_BOOKS_V1.name
LIQUIDATIONS = topics.MARKET_LIQUIDATIONS_V1.name
MARK_EVERY_NS = SECOND_NS // 4
MARK_LEASE_NS = 10 * SECOND_NS
MAX_TS = 1 << 62
AHEAD_NS = 60 * SECOND_NS
"""Books that lie so far ahead of the trades wait, so that their prices need not be kept longer."""
SLOW_NS = 5 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Tools:
    """What all shards of a process share."""

    clock: Clock
    counts: Counts
    definition: Definition = field(default_factory=Definition)
    slices: SliceRules = field(default_factory=SliceRules)
    cascades: CascadeRules = field(default_factory=CascadeRules)


class WhaleShard:
    """`outbox` is what is to be published, in order. Handlers call it; whoever runs it publishes,
    stores `dump()` and commits, in this order.
    """

    def __init__(self, number: int, tools: Tools) -> None:
        self.number = number
        self.tools = tools
        self.offsets: dict[str, int] = {}
        self.desks: dict[Market, Desk] = {}
        self.books = BookDesk()
        self.marks = TopicMarks(tools.clock)
        self.fence = Fence()
        self.books_fence = Fence()
        self.traced = TracedTrades()
        self.outbox: list[Outgoing] = []
        self.said: dict[str, int] = {}
        self.rewound_from = 0

    def admits(self, topic: str, source: str, writer_epoch: int) -> bool:
        """Whether a batch counts: not where a newer owner of its source wrote before it."""
        fence = self.books_fence if topic == BOOKS else self.fence
        admitted = fence.admits(f"{topic}/{source}", writer_epoch)
        if not admitted:
            self.tools.counts.ignored("older_epoch", 1)
        return admitted

    def desk(self, market: Market) -> Desk:
        found = self.desks.get(market)
        if found is None:
            tools = self.tools
            found = self.desks[market] = Desk(
                Instrument(*market, tools.definition, tools.slices),
                Cascades(*market, tools.definition, tools.cascades),
            )
        return found

    def trade(self, batch: TradeBatch) -> None:
        """Take the fills of one instrument; crossings go to the outbox at once."""
        market = (batch.venue, batch.instrument)
        desk = self.desk(market)
        fills, ignored = desk.fills, self.tools.counts.ignored
        price_factor, size_factor = fills.rescale(batch.price_exponent, batch.size_exponent)
        watermark = self.marks.watermark(TRADES, market)
        for trade in batch.trades:
            ts = trade.ts_event
            if trade.print != PRINT_KIND_MARKET:
                ignored("no_market_print", 1)
            elif trade.price <= 0 or trade.size <= 0 or ts <= 0 or trade.side not in (1, 2):
                ignored("impossible", 1)
            elif ts <= watermark:
                ignored("late", 1)
            elif not desk.is_new(trade):
                ignored("repeated", 1)
            else:
                fill = FillRow(
                    trade.id[:64], trade.side, trade.price * price_factor,
                    trade.size * size_factor, max(ts, fills.clock),
                )  # fmt: skip
                cause = fills.refuses(fill)
                if cause is None:
                    fills.fill(fill)
                else:
                    ignored(f"mis_scaled_{cause}", 1)
        if fills.out:
            self.collect(market, desk)

    def collect(self, market: Market, desk: Desk) -> None:
        """Say crossings now; closes and impacts wait until the books have passed them."""
        for source in (desk.fills.out, desk.forced.out):
            for alert in source:
                if alert.stage is Stage.CROSSED:
                    for known_before in desk.supersede(alert):
                        self.tools.counts.books_missing(market[0])
                        self.say(market, desk, known_before)
                    self.say(market, desk, alert)
                else:
                    heapq.heappush(
                        desk.waiting, (alert.ts_event, alert.id, int(alert.stage), alert)
                    )
            source.clear()
        self.release(market, desk)

    def release(self, market: Market, desk: Desk) -> None:
        """Say what trades and books have passed by now."""
        if not desk.waiting:
            return
        passed = min(self.marks.reached(topic, market, MAX_TS) for topic in (TRADES, BOOKS))
        quotes = self.books.quotes.get(market)
        while desk.waiting and desk.waiting[0][0] <= passed:
            alert = heapq.heappop(desk.waiting)[-1]
            parent = alert.parent
            if quotes is not None:
                alert.impacts = quotes.impacts(
                    parent.ts_first, parent.ts_last, parent.side, alert.ts_event
                )
                depth = quotes.depth_before(parent.ts_first, parent.side)
                if depth:
                    size = parent.size * 10.0**alert.size_exponent
                    alert.depth_share = min(1.0, size / depth)
            if not alert.impacts:
                self.tools.counts.books_missing(market[0])
            self.say(market, desk, alert)

    def say(self, market: Market, desk: Desk, alert: Alert) -> None:
        """Put one revision into the outbox."""
        revision = desk.next_revision(alert.id)
        message = alert_message(*market, alert, revision, self.tools.definition.version)
        with self.traced.publishing(market):
            record = outgoing(
                topics.WHALE_ALERTS_V1,
                message,
                key=alert.id,
                subject=market[1],
                now_ns=self.tools.clock.now_ns(),
                event_id=alert.id,
            )
        self.outbox.append(record)
        self.tools.counts.alert(alert.kind, alert.stage)

    def advance(self, moved: Iterable[Market]) -> None:
        """Marks of the trades have moved these markets on."""
        venues: set[str] = set()
        for market in moved:
            watermark = self.marks.watermark(TRADES, market)
            desk = self.desk(market)
            desk.fills.advance(watermark)
            self._forget(market, desk, watermark)
            self.collect(market, desk)
            venues.add(market[0])
        for venue in sorted(venues):
            self._mark(venue)

    def advance_forced(self, moved: Iterable[Market]) -> None:
        """Marks of the liquidations have moved these markets on."""
        for market in moved:
            desk = self.desk(market)
            desk.forced.advance(self.marks.watermark(LIQUIDATIONS, market))
            self.collect(market, desk)

    def advance_books(self, moved: Iterable[Market]) -> None:
        """Marks of the books have moved these markets on."""
        venues: set[str] = set()
        for market in moved:
            desk = self.desks.get(market)
            if desk is not None and desk.waiting:
                self.release(market, desk)
                venues.add(market[0])
        for venue in sorted(venues):
            self._mark(venue)

    def books_are_ahead(self) -> bool:
        """Whether the books must wait for the trades."""
        books, trades = self.marks.trackers.get(BOOKS), self.marks.trackers.get(TRADES)
        if self.rewound_from or books is None or self.marks.silences.is_idle(TRADES):
            return False
        if trades is None or trades.furthest is None or books.furthest is None:
            return False
        return books.furthest > trades.furthest + AHEAD_NS

    def book_read(self, offset: int) -> None:
        """A record of the books' topic was handled: the rewind may be over."""
        if self.rewound_from and offset + 1 >= self.rewound_from:
            self.rewound_from = 0
            self.marks.held.discard(BOOKS)
            for market, desk in sorted(self.desks.items()):
                self.release(market, desk)

    def take_outbox(self) -> list[Outgoing]:
        taken, self.outbox = self.outbox, []
        return taken

    def thresholds(self) -> list[Threshold]:
        """What is in force in each market, and how far its warm-up is."""
        definition = self.tools.definition
        found: list[Threshold] = []
        for (venue, instrument), desk in sorted(self.desks.items()):
            fills = desk.fills
            one = Threshold(
                venue=venue,
                instrument=instrument,
                quantile=definition.quantile,
                warm_up=fills.warm_up(),
                observations=fills.sketch.observations,
                definition_version=definition.version,
                ts_event=fills.clock,
            )
            if fills.threshold is not None:
                one.notional = fills.threshold * fills.scales.unit
            found.append(one)
        return found

    def open_parents(self) -> int:
        return sum(
            (desk.fills.order is not None) + len(desk.fills.working) + len(desk.forced.open)
            for desk in self.desks.values()
        )

    def dump(self) -> list[tuple[bytes, bytes]]:
        """Keys and values to write, in this order: the last one is what the others hang on."""
        written: list[tuple[bytes, bytes]] = []
        for market, desk in sorted(self.desks.items()):
            hour = desk.fills.sketch.hour
            if hour != desk.cold_hour:
                desk.cold_slot, desk.cold_hour = 1 - desk.cold_slot, hour
                key = cold_key(self.number, market, desk.cold_slot)
                written.append((key, pack(dump_cold(desk.fills.sketch))))
        written.append((head_key(self.number), pack(self._head())))
        return written

    def restore(self, states: States) -> Mapping[str, int]:
        """Go on where `dump` stood; return topic → next offset to read."""
        head = states.get(head_key(self.number))
        if head is None:
            return {}
        value = unpack(head)
        self.offsets = dict(value["offsets"])
        self.fence = Fence(value["fence"])
        for topic, tracker in value["marks"]:
            self.marks.trackers[topic] = ProgressTracker.restore(tracker)
        self.said = dict(value["said"])
        for venue, name, places in value["snapshots"]:
            self.books.snapshots[venue, name] = [(offset, ts) for offset, ts in places]
        for packed in value["desks"]:
            self._load_desk(packed, states)
        return self._rewound()

    def _rewound(self) -> dict[str, int]:
        needed = {}
        for market, desk in self.desks.items():
            since = desk.needs_from()
            clock = desk.fills.clock or 0
            needed[market] = (clock if since is None else min(since, clock)) - SLOW_NS
        positions = dict(self.offsets)
        start = self.books.rewind_to(needed)
        if start is not None and BOOKS in positions and start < positions[BOOKS]:
            self.rewound_from, positions[BOOKS] = positions[BOOKS], start
            self.marks.held.add(BOOKS)
        return positions

    def _head(self) -> dict[str, Any]:
        return {
            "offsets": dict(sorted(self.offsets.items())),
            "fence": self.fence.snapshot(),
            "marks": [
                (topic, tracker.snapshot())
                for topic, tracker in sorted(self.marks.trackers.items())
            ],
            "said": dict(sorted(self.said.items())),
            "snapshots": [
                (*market, places) for market, places in sorted(self.books.snapshots.items())
            ],
            "desks": [
                (
                    *market, dump_instrument(desk.fills), dump_cascades(desk.forced),
                    [(kind, pack_seen(seen)) for kind, seen in sorted(desk.seen.items())],
                    pack_seen(desk.seen_forced),
                    [pack_alert(alert) for *_, alert in sorted(desk.waiting, key=_in_time)],
                    list(desk.revisions.items()), desk.cold_slot, desk.cold_hour,
                )
                for market, desk in sorted(self.desks.items())
            ],
        }  # fmt: skip

    def _load_desk(self, packed: list[Any], states: States) -> None:
        (
            venue, name, fills, forced, seen, seen_forced, waiting, revisions, slot, hour,
        ) = packed  # fmt: skip
        desk = self.desk((venue, name))
        load_instrument(fills, desk.fills)
        load_cascades(forced, desk.forced)
        desk.seen = {kind: unpack_seen(one) for kind, one in seen}
        desk.seen_forced = unpack_seen(seen_forced)
        for packed_alert in waiting:
            alert = unpack_alert(packed_alert)
            desk.waiting.append((alert.ts_event, alert.id, int(alert.stage), alert))
        heapq.heapify(desk.waiting)
        desk.revisions = dict(revisions)
        desk.cold_slot, desk.cold_hour = slot, hour
        cold = states.get(cold_key(self.number, (venue, name), slot))
        if cold is not None:
            load_cold(unpack(cold), desk.fills.sketch)

    def _forget(self, market: Market, desk: Desk, watermark: int) -> None:
        quotes = self.books.quotes.get(market)
        if quotes is not None:
            since = desk.needs_from()
            oldest = watermark if since is None else min(since, watermark)
            quotes.forget(oldest - AHEAD_NS)

    def _mark(self, venue: str) -> None:
        """Say how far the alerts of a venue's markets have come."""
        passed = {
            market: self._passed(market, desk)
            for market, desk in self.desks.items()
            if market[0] == venue
        }
        furthest = max(passed.values(), default=-1)
        live = {market: at for market, at in passed.items() if at >= furthest - GONE_NS}
        if not live:
            return
        until = min(live.values())
        if until < self.said.get(venue, 0) + MARK_EVERY_NS:
            return
        self.said[venue] = until
        names = sorted(market[1] for market in live)
        mark = Progress(
            venue=venue,
            source=f"whale-detector/{self.number}/{venue}",
            writer_epoch=1,
            ts_event=until,
            instruments=names,
            lease_ns=MARK_LEASE_NS,
        )
        record = outgoing(
            topics.WHALE_ALERTS_V1,
            mark,
            key=f"{venue}:{self.number}",
            subject=names[0],
            now_ns=self.tools.clock.now_ns(),
        )
        self.outbox.append(record)

    def _passed(self, market: Market, desk: Desk) -> int:
        at = self.marks.watermark(TRADES, market)
        if self.marks.watermark(LIQUIDATIONS, market) >= 0:
            at = min(at, self.marks.reached(LIQUIDATIONS, market, at))
        return min(at, desk.waiting[0][0] - 1) if desk.waiting else at


def _in_time(item: tuple[int, str, int, Alert]) -> tuple[int, str, int]:
    return item[:3]
