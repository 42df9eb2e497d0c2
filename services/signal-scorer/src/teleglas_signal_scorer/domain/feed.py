"""What is known of one composite instrument, tick by tick.

Candles and alerts come from two topics whose records interleave in any way. So everything waits
until its time: a candle counts from the tick at which it closed, or, where the candles' topic had
come further before it was written (a late revision), from the first tick behind that; an alert
likewise, against the marks of its own topic. What a tick sees then depends on the order within each
topic alone, never on which of the two was read first.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from teleglas_common.progress import Tick, TickJoin
from teleglas_signal_scorer.domain.bars import Bar, Series
from teleglas_signal_scorer.domain.indicators import BARS
from teleglas_signal_scorer.domain.intervals import SECOND, SECOND_NS, Ladder
from teleglas_signal_scorer.domain.layer import Memo, View
from teleglas_signal_scorer.domain.layers.order_flow import WHALE_WINDOW_NS, WHALES, WINDOW_NS
from teleglas_signal_scorer.domain.stance import NEUTRAL
from teleglas_signal_scorer.domain.whales import Whale

__all__ = ["CANDLES", "MAX_PENDING", "Cadence", "Feed"]

CANDLES = "market.candles"
KEEP_BARS = BARS + 8
KEEP_SECONDS = 90
KEEP_WHALES = 256
MAX_PENDING = 20_000
"""Candles and alerts of one instrument that may wait for a tick; past it alerts are not waited
for."""
LONGEST_GAP_NS = 24 * 3600 * SECOND_NS
"""Ticks of a longer time without candles are left out at once, not one by one."""

_when = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a score is made, in event time, and how far candles may be ahead of alerts that
    have fallen silent.
    """

    tick_ns: int
    deadline_ns: int


@dataclass(slots=True)
class Feed:
    """Feed it candles and alerts in the order of their topics; ask for the ticks that are due."""

    instrument: str
    ladder: Ladder
    cadence: Cadence
    receipts: Sequence[Tick] = ()
    series: dict[str, Series] = field(default_factory=dict)
    seconds: list[Bar] = field(default_factory=list)
    whales: list[Whale] = field(default_factory=list)
    stance: str = NEUTRAL
    memo: Memo = field(default_factory=dict)
    closes: dict[str, int] = field(default_factory=dict)
    """Newest close of each interval that was read, also of what still waits."""
    revisions: dict[str, dict[int, int]] = field(default_factory=dict)
    alert_revisions: dict[str, int] = field(default_factory=dict)
    waiting: list[tuple[int, str, Bar]] = field(default_factory=list)
    waiting_whales: list[tuple[int, Whale]] = field(default_factory=list)
    alerts_at: int | None = None
    join: TickJoin = field(init=False)

    def __post_init__(self) -> None:
        inputs = (CANDLES, WHALES) if self.ladder.has_seconds else (CANDLES,)
        self.join = TickJoin(
            inputs,
            interval_ns=self.cadence.tick_ns,
            deadline_ns=self.cadence.deadline_ns,
            receipts=self.receipts,
        )
        for interval in self.ladder.intervals:
            self.series.setdefault(interval.name, Series(KEEP_BARS))

    @property
    def reached(self) -> int | None:
        """All candles that closed at or before this time have been read; None before the first."""
        base = self.ladder.base
        first = self.closes.get(base.name)
        if first is None:
            return None
        reached = first + base.length_ns - 1
        if self.ladder.has_seconds:
            reached = min(reached, max(first, self.closes.get(SECOND.name, 0)))
        for interval in self.ladder.intervals[1:]:
            close = self.closes.get(interval.name)
            if close is None:
                close = interval.floor(self._begin)
            reached = min(reached, close + interval.length_ns - 1)
        return reached

    @property
    def _begin(self) -> int:
        """Begin of the oldest base bar that is known, where longer ones must begin too."""
        return min(self.revisions[self.ladder.base.name])

    def take_candle(self, interval: str, bar: Bar) -> bool:
        """Read a closed candle or a revision; whether it is new."""
        known = self.revisions.setdefault(interval, {})
        if bar.revision <= known.get(bar.ts_open, -1):
            return False
        reached = self.reached
        keep = KEEP_SECONDS if interval == SECOND.name else KEEP_BARS
        if bar.ts_open not in known and len(known) >= keep and bar.ts_open < min(known):
            return False
        known[bar.ts_open] = bar.revision
        if len(known) > keep:
            del known[min(known)]
        since = bar.ts_close if reached is None else max(bar.ts_close, reached + 1)
        self.closes[interval] = max(bar.ts_close, self.closes.get(interval, 0))
        insort(self.waiting, (since, interval, bar), key=_when)
        self._observe()
        return True

    def take_whale(self, whale: Whale) -> bool:
        """Read a revision of an alert; whether it is new."""
        if whale.revision <= self.alert_revisions.get(whale.id, -1):
            return False
        self.alert_revisions[whale.id] = whale.revision
        if len(self.alert_revisions) > 2 * KEEP_WHALES:
            del self.alert_revisions[next(iter(self.alert_revisions))]
        since = (
            whale.ts_event if self.alerts_at is None else max(whale.ts_event, self.alerts_at + 1)
        )
        insort(self.waiting_whales, (since, whale), key=_when)
        if len(self.waiting_whales) > MAX_PENDING:
            del self.waiting_whales[0]
        return True

    def alerts_passed(self, watermark: int) -> None:
        """Nothing of the alerts up to this time is still to come."""
        self.alerts_at = watermark if self.alerts_at is None else max(self.alerts_at, watermark)
        self._observe()

    def due(self, awaited: Collection[str] = ()) -> Tick | None:
        """The next tick that is due; `awaited` inputs are waited for past the deadline, and candles
        always: without them there is no price to score.
        """
        if len(self.waiting) >= MAX_PENDING:
            awaited = ()
        ticks = self.join.release(1, (CANDLES, *awaited))
        return ticks[0] if ticks else None

    def view(self, tick: Tick) -> View | None:
        """What is known at a tick that was due; None where the market has no candle of this time.

        Ask for each tick once, in order.
        """
        at = tick.ts_event
        self._apply(at)
        newest = self.series[self.ladder.base.name].newest
        base = self.ladder.base
        if newest is None or newest.ts_close < base.floor(at):
            self._leave_out(at)
            return None
        return View(
            at, self.ladder, self.series, self.seconds, self.whales, tick.missing, self.memo
        )

    def _observe(self) -> None:
        reached = self.reached
        if reached is None:
            return
        self.join.observe(CANDLES, reached)
        if self.ladder.has_seconds and self.alerts_at is not None:
            self.join.observe(WHALES, self.alerts_at)

    def _apply(self, at: int) -> None:
        done = 0
        for since, interval, bar in self.waiting:
            if since > at:
                break
            done += 1
            if interval == SECOND.name:
                _put_second(self.seconds, bar)
            else:
                self.series[interval].put(bar)
        del self.waiting[:done]
        begin = at - WINDOW_NS
        self.seconds = [bar for bar in self.seconds if bar.ts_open >= begin]
        self._apply_whales(at)

    def _apply_whales(self, at: int) -> None:
        done = 0
        for since, whale in self.waiting_whales:
            if since > at:
                break
            done += 1
            self.whales = [known for known in self.whales if known.id != whale.id] + [whale]
        del self.waiting_whales[:done]
        begin = at - WHALE_WINDOW_NS
        self.whales = [whale for whale in self.whales if whale.ts_event > begin][-KEEP_WHALES:]

    def _leave_out(self, at: int) -> None:
        """Go on at the next candle where it is far away."""
        ahead = min((bar.ts_close for _, _, bar in self.waiting), default=at)
        if ahead - at > LONGEST_GAP_NS:
            self.join.skip_to(ahead)


def _put_second(seconds: list[Bar], bar: Bar) -> None:
    for at in range(len(seconds) - 1, -1, -1):
        if seconds[at].ts_open == bar.ts_open:
            seconds[at] = bar
            return
        if seconds[at].ts_open < bar.ts_open:
            seconds.insert(at + 1, bar)
            return
    seconds.insert(0, bar)
