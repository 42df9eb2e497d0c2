"""What waits to be published: bounded, in order; it says when readers of venues have to pause."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from teleglas_ingest.domain.book import BookUpdate
from teleglas_ingest.domain.events import Channel, Gap, Liquidation, Ticker, Trade
from teleglas_ingest.domain.instrument import Instrument, Market

__all__ = [
    "BookOut",
    "DeadFrame",
    "GapOut",
    "InstrumentOut",
    "LiquidationOut",
    "Out",
    "Outbox",
    "ProgressOut",
    "TickerOut",
    "TradesOut",
]


class TradesOut(Struct, gc=False):
    market: Market
    trades: list[Trade]
    source: str


class BookOut(Struct, gc=False):
    market: Market
    update: BookUpdate
    source: str


class TickerOut(Struct, gc=False):
    ticker: Ticker
    source: str


class LiquidationOut(Struct, gc=False):
    liquidation: Liquidation
    source: str


class GapOut(Struct, gc=False):
    gap: Gap
    source: str


class ProgressOut(Struct, gc=False):
    """`subject` is any instrument of the partition."""

    venue: str
    channel: Channel
    subject: str
    instruments: tuple[str, ...]
    source: str
    ts_event: int
    retired: bool = False


class InstrumentOut(Struct, gc=False):
    instrument: Instrument
    version: int
    ts_effective: int


class DeadFrame(Struct, gc=False):
    """A frame that was refused, whole, for the dead-letter topic of its channel."""

    venue: str
    channel: Channel
    subject: str
    frame: bytes
    cause: str
    detail: str
    source: str
    ts_ingest: int


Out = (
    TradesOut
    | BookOut
    | TickerOut
    | LiquidationOut
    | GapOut
    | ProgressOut
    | InstrumentOut
    | DeadFrame
)


MAX_HELD_TRADES = 200_000
"""Trades and liquidations kept while another process writes: minutes of a busy shard."""
HIGH_BYTES = 64 << 20
"""A refused frame alone may have a MiB."""
MAX_HELD_GAPS = 1_000
"""Gaps kept beside them, each in its last revision."""


class Outbox:
    """A queue that blocks its readers: they pause at `high` items or `high_bytes` and resume at
    `low` and a quarter of the bytes. What one frame still brings is all that comes on top; the
    rest waits at the socket.
    """

    def __init__(
        self, *, high: int = 20_000, low: int = 5_000, high_bytes: int = HIGH_BYTES
    ) -> None:
        self._items: deque[Out] = deque()
        self._bytes = 0
        self._high_bytes = high_bytes
        self._held: deque[Out] | None = None
        self._held_trades = 0
        self._held_gaps: dict[str, GapOut] = {}
        self._high = high
        self._low = low
        self._wake = asyncio.Event()
        self._on_pressure: list[Callable[[bool], None]] = []
        self.pressed = False

    def on_pressure(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(True)` when full, `listener(False)` when there is room again."""
        self._on_pressure.append(listener)

    def hold(self) -> None:
        """Publish nothing: keep the latest trades, liquidations and gaps, drop all else. Another
        process still writes this shard, and what it writes last is in what we keep.
        """
        self._held = deque()
        self._held_trades = 0
        self._held_gaps = {}

    def release(self) -> list[Out]:
        """Return what was held; what is put from now on is published."""
        gaps, self._held_gaps = self._held_gaps, {}
        held, self._held = list(self._held or ()), None
        return [*gaps.values(), *held]

    def put(self, item: Out) -> None:
        if self._held is not None:
            self._keep(item, self._held)
            return
        self._items.append(item)
        if not self._wake.is_set():
            self._wake.set()
        self._bytes += _bytes(item)
        is_full = len(self._items) >= self._high or self._bytes >= self._high_bytes
        if is_full and not self.pressed:
            self._press(True)

    def _keep(self, item: Out, held: deque[Out]) -> None:
        if isinstance(item, TradesOut | LiquidationOut):
            held.append(item)
            self._held_trades += _trades(item)
            while self._held_trades > MAX_HELD_TRADES:
                self._held_trades -= _trades(held.popleft())
        elif isinstance(item, GapOut):
            self._held_gaps.pop(item.gap.id, None)
            self._held_gaps[item.gap.id] = item
            if len(self._held_gaps) > MAX_HELD_GAPS:
                del self._held_gaps[next(iter(self._held_gaps))]

    async def take(self, most: int) -> list[Out]:
        """Wait for items, then return the oldest ones, at most `most`."""
        while not self._items:
            self._wake.clear()
            await self._wake.wait()
        return self.take_now(most)

    def take_now(self, most: int) -> list[Out]:
        items = self._items
        taken = [items.popleft() for _ in range(min(most, len(items)))]
        self._bytes -= sum(map(_bytes, taken))
        has_room = len(items) <= self._low and self._bytes <= self._high_bytes // 4
        if self.pressed and has_room:
            self._press(False)
        return taken

    def __len__(self) -> int:
        return len(self._items)

    def _press(self, pressed: bool) -> None:
        self.pressed = pressed
        for listener in self._on_pressure:
            listener(pressed)


def _trades(item: Out) -> int:
    return len(item.trades) if isinstance(item, TradesOut) else 1


def _bytes(item: Out) -> int:
    """Roughly what an item keeps in memory."""
    if isinstance(item, DeadFrame):
        return 500 + len(item.frame)
    if isinstance(item, TradesOut):
        return 200 * len(item.trades)
    if isinstance(item, BookOut):
        update = item.update
        return 500 + 64 * (len(update.bid_prices) + len(update.ask_prices))
    return 500
