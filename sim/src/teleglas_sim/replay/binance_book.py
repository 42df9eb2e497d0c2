"""A Binance book at a position of the play, rebuilt from the recorded snapshot and diffs."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from teleglas_sim.replay.streams import BINANCE_USDM, Channel
from teleglas_sim.replay.timeline import Answer, Timeline

__all__ = ["BinanceBook", "Depth"]

Level = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Depth:
    """The best levels of both sides, best first; spot has no times."""

    last_update_id: int
    event_ms: int
    transaction_ms: int
    bids: list[Level]
    asks: list[Level]


class _Snapshot(msgspec.Struct):
    lastUpdateId: int  # noqa: N815
    bids: list[Level]
    asks: list[Level]
    E: int = 0
    T: int = 0


class _Diff(msgspec.Struct):
    U: int
    u: int
    b: list[Level]
    a: list[Level]
    E: int = 0
    T: int = 0
    pu: int = -1


class _Envelope(msgspec.Struct):
    data: _Diff


class BinanceBook:
    """Goes forward only. Its `last_update_id` is that of the newest diff before the position, so
    that a client finds the next pushed diff continuous under the rule of its market.

    Before the recorded snapshot's own position the snapshot itself is given: the diffs that it
    covers are dropped by the same rule. Where the recording has a hole, the book starts again from
    the next recorded snapshot; where none follows, it goes on with the levels that the diffs name.
    Without any recorded snapshot the book holds only levels that changed since the start.
    """

    def __init__(self, timeline: Timeline, venue: str, symbol: str) -> None:
        self._timeline = timeline
        self._is_usdm = venue == BINANCE_USDM
        stream_id = timeline.find(venue, symbol, Channel.DEPTH)
        self._diffs = timeline.positions[stream_id] if stream_id is not None else array("q")
        self._next_diff = 0
        self._snapshots = [
            answer
            for answer in timeline.answers
            if answer.path.endswith("/depth") and (answer.venue, answer.symbol) == (venue, symbol)
        ]
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        self.last_update_id = 0
        self._event_ms = 0
        self._transaction_ms = 0
        self._is_first = True
        self._start()

    @property
    def is_known(self) -> bool:
        """Whether the capture says anything about this book."""
        return bool(self._snapshots) or len(self._diffs) > 0

    def advance_to(self, position: int) -> None:
        """Apply the diffs that lie before `position`."""
        stop = bisect_left(self._diffs, position)
        while self._next_diff < stop:
            diff = self._decode(self._diffs[self._next_diff])
            self._next_diff += 1
            self._on_diff(diff)

    def depth(self, limit: int) -> Depth:
        """The best `limit` levels of each side, best first."""
        return Depth(
            last_update_id=self.last_update_id,
            event_ms=self._event_ms,
            transaction_ms=self._transaction_ms,
            bids=_best(self._bids, limit, lambda price: -price),
            asks=_best(self._asks, limit, lambda price: price),
        )

    def _start(self) -> None:
        if self._snapshots:
            self._rebase(self._snapshots.pop(0))
        elif len(self._diffs):
            self.last_update_id = self._decode(self._diffs[0]).U - 1
            self._is_first = False

    def _decode(self, position: int) -> _Diff:
        return msgspec.json.decode(self._timeline.frame(position), type=_Envelope).data

    def _on_diff(self, diff: _Diff) -> None:
        if self._is_covered(diff):
            return
        is_rebased = not self._continues(diff) and self._rebase_behind(diff)
        if is_rebased and self._is_covered(diff):
            return
        self._is_first = False
        self.last_update_id = diff.u
        self._event_ms, self._transaction_ms = diff.E, diff.T
        _apply(self._bids, diff.b)
        _apply(self._asks, diff.a)

    def _is_covered(self, diff: _Diff) -> bool:
        if self._is_usdm and self._is_first:
            return diff.u < self.last_update_id
        return diff.u <= self.last_update_id

    def _continues(self, diff: _Diff) -> bool:
        if self._is_first:
            return self.last_update_id + 1 >= diff.U
        if self._is_usdm:
            return diff.pu == self.last_update_id
        return self.last_update_id + 1 == diff.U

    def _rebase_behind(self, diff: _Diff) -> bool:
        while self._snapshots:
            candidate = self._snapshots.pop(0)
            if self._parse(candidate).lastUpdateId >= diff.U - 1:
                self._rebase(candidate)
                return True
        return False

    def _rebase(self, answer: Answer) -> None:
        snapshot = self._parse(answer)
        self._bids = dict(snapshot.bids)
        self._asks = dict(snapshot.asks)
        self.last_update_id = snapshot.lastUpdateId
        self._event_ms, self._transaction_ms = snapshot.E, snapshot.T
        self._is_first = True

    def _parse(self, answer: Answer) -> _Snapshot:
        return msgspec.json.decode(self._timeline.body(answer), type=_Snapshot)


def _apply(side: dict[str, str], levels: list[Level]) -> None:
    for price, size in levels:
        if size.strip("0."):
            side[price] = size
        else:
            side.pop(price, None)


def _best(side: dict[str, str], limit: int, rank: Callable[[Decimal], Decimal]) -> list[Level]:
    prices = sorted(side, key=lambda price: rank(Decimal(price)))
    return [(price, side[price]) for price in prices[:limit]]
