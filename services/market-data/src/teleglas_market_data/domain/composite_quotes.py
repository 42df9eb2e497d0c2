"""Bid and ask of a composite: the weighted means of its members', tick by tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from teleglas_market_data.domain.summary import Quote

__all__ = ["CompositeQuotes"]

Best: TypeAlias = tuple[int, int, int]
"""Bid, ask and their exponent."""


class SavedQuotes(msgspec.Struct, array_like=True, frozen=True):
    waiting: list[tuple[int, list[tuple[str, Best]]]]
    current: list[tuple[str, Best]]


@dataclass(slots=True)
class CompositeQuotes:
    """What members said at ticks that the composite has not said yet, and what held before."""

    waiting: dict[int, dict[str, Best]] = field(default_factory=dict)
    current: dict[str, Best] = field(default_factory=dict)

    def take(self, venue: str, tick: int, best: Quote) -> None:
        """A member said its best prices at a tick."""
        if best.bid is not None and best.ask is not None:
            at = self.waiting.setdefault(tick, {})
            at[venue] = (best.bid, best.ask, best.exponent)

    def up_to(self, until: int, weights: Mapping[str, int], digits: int) -> list[Quote]:
        """The composite's best prices at each tick up to `until` at which a member's changed."""
        quotes: list[Quote] = []
        for tick in sorted(tick for tick in self.waiting if tick <= until):
            self.current |= self.waiting.pop(tick)
            finest = min(exponent for _, _, exponent in self.current.values()) - digits
            total = sum(weights[venue] for venue in self.current)
            bid = ask = 0
            for venue, (bid_price, ask_price, exponent) in self.current.items():
                scale = weights[venue] * 10 ** (exponent - finest)
                bid += bid_price * scale
                ask += ask_price * scale
            quotes.append(Quote(tick - 1, finest, bid // total, -(-ask // total)))
        return quotes

    def dump(self) -> bytes:
        """Equal states give equal bytes."""
        waiting = [(tick, sorted(at.items())) for tick, at in sorted(self.waiting.items())]
        return msgspec.msgpack.encode(SavedQuotes(waiting, sorted(self.current.items())))

    @classmethod
    def load(cls, state: bytes) -> CompositeQuotes:
        """Take what `dump` gave."""
        saved = msgspec.msgpack.decode(state, type=SavedQuotes)
        return cls({tick: dict(at) for tick, at in saved.waiting}, dict(saved.current))
