"""An OKX book at a position of the play, and the snapshot that a late subscriber gets of it."""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable
from decimal import Decimal
from itertools import chain, zip_longest

import msgspec

from teleglas_sim.replay.streams import OKX, Channel
from teleglas_sim.replay.timeline import Timeline

__all__ = ["OkxBook", "checksum"]

Level = list[str]
_CHECKSUM_LEVELS = 25


class _Change(msgspec.Struct):
    asks: list[Level]
    bids: list[Level]
    ts: str
    checksum: int = 0
    seqId: int | None = None  # noqa: N815


class _Books(msgspec.Struct):
    action: str
    data: list[_Change]


class OkxBook:
    """Goes forward only, from recorded snapshot and update frames."""

    def __init__(self, timeline: Timeline, symbol: str) -> None:
        self._timeline = timeline
        stream_id = timeline.find(OKX, symbol, Channel.DEPTH)
        self._frames = timeline.positions[stream_id] if stream_id is not None else array("q")
        self._next = 0
        self._bids: dict[str, Level] = {}
        self._asks: dict[str, Level] = {}
        self._last: _Change | None = None

    @property
    def is_synced(self) -> bool:
        """Whether a recorded snapshot lies before the present position."""
        return self._last is not None

    @property
    def ts_ms(self) -> str:
        return self._last.ts if self._last is not None else "0"

    def advance_to(self, position: int) -> None:
        """Apply the frames that lie before `position`."""
        stop = bisect_left(self._frames, position)
        while self._next < stop:
            frame = self._timeline.frame(self._frames[self._next])
            self._next += 1
            self._on_books(msgspec.json.decode(frame, type=_Books))

    def levels(self, limit: int) -> tuple[list[Level], list[Level]]:
        """The best `limit` bids and asks, best first."""
        return (
            _best(self._bids, limit, lambda price: -price),
            _best(self._asks, limit, lambda price: price),
        )

    def snapshot(self, arg: bytes, limit: int = 400) -> bytes:
        """The frame that opens a subscription at the present position.

        It carries a sequence id where the recorded frames do, and the checksum of its own levels
        where theirs is not 0.
        """
        if self._last is None:
            raise ValueError("expected a recorded book snapshot before the position, was none")
        bids, asks = self.levels(limit)
        change: dict[str, object] = {"asks": asks, "bids": bids, "ts": self._last.ts}
        change["checksum"] = checksum(bids, asks) if self._last.checksum else 0
        if self._last.seqId is not None:
            change |= {"prevSeqId": -1, "seqId": self._last.seqId}
        return b'{"arg":%b,"action":"snapshot","data":[%b]}' % (arg, msgspec.json.encode(change))

    def _on_books(self, books: _Books) -> None:
        for change in books.data:
            if books.action == "snapshot":
                self._bids = {level[0]: level for level in change.bids}
                self._asks = {level[0]: level for level in change.asks}
                self._last = change
            elif self._last is not None:
                _apply(self._bids, change.bids)
                _apply(self._asks, change.asks)
                self._last = change


def checksum(bids: list[Level], asks: list[Level]) -> int:
    """CRC-32 as OKX forms it: the best 25 levels of each side interleaved, signed."""
    pairs = zip_longest(bids[:_CHECKSUM_LEVELS], asks[:_CHECKSUM_LEVELS])
    fields = [f"{level[0]}:{level[1]}" for level in chain.from_iterable(pairs) if level is not None]
    crc = zlib.crc32(":".join(fields).encode())
    return crc - (1 << 32) if crc >= 1 << 31 else crc


def _apply(side: dict[str, Level], levels: list[Level]) -> None:
    for level in levels:
        if level[1] == "0":
            side.pop(level[0], None)
        else:
            side[level[0]] = level


def _best(side: dict[str, Level], limit: int, rank: Callable[[Decimal], Decimal]) -> list[Level]:
    prices = sorted(side, key=lambda price: rank(Decimal(price)))
    return [side[price] for price in prices[:limit]]
