"""What this process knows right now, for queries and streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from teleglas.market.v1.candle_pb2 import Summary
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas_contracts.topics import MARKET_CANDLES_V1
from teleglas_market_data.domain.book import Book
from teleglas_market_data.ports import Market, StoredCandle

__all__ = ["Live", "LiveBook", "LiveShard", "Mailbox", "SlowReaderError"]

MAX_WAITING = 100_000
"""Different candles or summaries that wait for one slow stream; it is ended beyond that."""


@dataclass(frozen=True, slots=True)
class LiveBook:
    """A book with what its prices and sizes are scaled by."""

    book: Book
    price_exponent: int
    size_exponent: int


class LiveShard(Protocol):
    """A running shard."""

    def markets(self) -> Collection[Market]: ...

    def forming(self, market: Market, level: int) -> StoredCandle | None: ...

    def frontier(self, market: Market) -> int: ...

    def book(self, market: Market) -> LiveBook | None: ...

    def ticker(self, market: Market) -> Ticker | None: ...

    def summary(self, market: Market) -> Summary | None: ...


class SlowReaderError(Exception):
    """A stream's reader is too slow for what it asked for."""


@dataclass(slots=True)
class Mailbox:
    """What one stream has not taken yet: of each key only the newest."""

    wants: Callable[[Market], bool]
    waiting: dict[object, StoredCandle | Summary] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    traded: set[Market] = field(default_factory=set)
    overflown: bool = False

    def put(self, key: object, value: StoredCandle | Summary) -> None:
        """Take a value; it replaces an older one of its key."""
        if len(self.waiting) >= MAX_WAITING and key not in self.waiting:
            self.overflown = True
        else:
            self.waiting[key] = value
        self.arrived.set()

    async def take(self, timeout_s: float | None) -> list[StoredCandle | Summary]:
        """Wait for values, at most `timeout_s`, and take all of them. Raises SlowReaderError when
        some were lost.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self.arrived.wait(), timeout_s)
        self.arrived.clear()
        if self.overflown:
            raise SlowReaderError(f"expected a reader within {MAX_WAITING} values, fell behind")
        taken = list(self.waiting.values())
        self.waiting.clear()
        return taken

    def take_traded(self) -> list[Market]:
        """Markets that traded since the last call."""
        taken = sorted(self.traded)
        self.traded.clear()
        return taken


@dataclass(slots=True)
class Live:
    """The shards of this process and the streams that watch them."""

    shards: dict[int, LiveShard] = field(default_factory=dict)
    _candles: dict[int, Mailbox] = field(default_factory=dict)
    _summaries: dict[int, Mailbox] = field(default_factory=dict)

    def closed(self, candle: StoredCandle) -> None:
        """A candle closed or was revised."""
        market = (candle.venue, candle.instrument)
        for box in self._candles.values():
            if box.wants(market):
                box.put((market, candle.level, candle.bar.ts_open, True), candle)

    def summarised(self, summary: Summary) -> None:
        """A market's summary changed."""
        market = (summary.venue, summary.instrument)
        for box in self._summaries.values():
            if box.wants(market):
                box.put(market, summary)

    def touched(self, market: Market) -> None:
        """A market traded: its forming candles have changed."""
        for box in self._candles.values():
            if box.wants(market):
                box.traded.add(market)

    def markets(self) -> list[Market]:
        """Every market that a shard here owns."""
        return [market for shard in self.shards.values() for market in shard.markets()]

    def forming(self, market: Market, level: int) -> StoredCandle | None:
        """The forming candle of a market that a shard here owns."""
        shard = self._owner(market)
        return None if shard is None else shard.forming(market, level)

    def frontier(self, market: Market) -> int:
        """Seconds before this time are closed; 0 where no shard here owns the market."""
        shard = self._owner(market)
        return 0 if shard is None else shard.frontier(market)

    def book(self, market: Market) -> LiveBook | None:
        """The book of a market, if it is in sync and a shard here owns it."""
        shard = self._owner(market)
        return None if shard is None else shard.book(market)

    def ticker(self, market: Market) -> Ticker | None:
        """The merged ticker of a market that a shard here owns."""
        shard = self._owner(market)
        return None if shard is None else shard.ticker(market)

    def summary(self, market: Market) -> Summary | None:
        """The last summary of a market, if it was said since its shard was restored here."""
        shard = self._owner(market)
        return None if shard is None else shard.summary(market)

    def _owner(self, market: Market) -> LiveShard | None:
        return self.shards.get(MARKET_CANDLES_V1.partition(market[1]))

    @contextmanager
    def watch_candles(self, wants: Callable[[Market], bool]) -> Iterator[Mailbox]:
        """A mailbox for candles until the block ends."""
        with _registered(self._candles, Mailbox(wants)) as box:
            yield box

    @contextmanager
    def watch_summaries(self, wants: Callable[[Market], bool]) -> Iterator[Mailbox]:
        """A mailbox for summaries until the block ends."""
        with _registered(self._summaries, Mailbox(wants)) as box:
            yield box


@contextmanager
def _registered(boxes: dict[int, Mailbox], box: Mailbox) -> Iterator[Mailbox]:
    boxes[id(box)] = box
    try:
        yield box
    finally:
        del boxes[id(box)]
