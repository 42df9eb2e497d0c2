"""Which instruments there are, and what people mean when they write one."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

__all__ = ["COMPOSITE", "Catalogue", "Listing", "UnknownSymbolError", "UnknownVenueError"]

COMPOSITE = "composite"
_SHAPE = re.compile(r"[A-Z0-9]{1,24}(-[A-Z0-9]{1,24}){0,4}")


class UnknownSymbolError(LookupError):
    def __init__(self, symbol: str) -> None:
        super().__init__(f"expected a listed symbol such as BTC-USDT, was {symbol[:40]!r}")


class UnknownVenueError(LookupError):
    def __init__(self, venue: str, symbol: str) -> None:
        super().__init__(f"expected a venue that lists {symbol}, was {venue[:40]!r}")


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument on one venue, as far as the edge needs it."""

    venue: str
    instrument: str
    kind: str


class Catalogue:
    """Every listing known so far. Symbols resolve to canonical instruments, venue apart."""

    def __init__(self, default_quote: str) -> None:
        self._default_quote = default_quote
        self._venues: dict[str, dict[str, Listing]] = defaultdict(dict)
        self._joined: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._venues)

    def add(self, listing: Listing) -> None:
        self._venues[listing.instrument][listing.venue] = listing
        self._joined[listing.instrument.replace("-", "")] = listing.instrument

    def remove(self, venue: str, instrument: str) -> None:
        listings = self._venues.get(instrument, {})
        listings.pop(venue, None)
        if not listings:
            self._venues.pop(instrument, None)
            self._joined.pop(instrument.replace("-", ""), None)

    def instruments(self) -> list[str]:
        return sorted(self._venues)

    def resolve(self, symbol: str) -> str:
        """`BTC-USDT` as it is; `BTC` with the default quote; `btcusdt` and `BTC/USDT` tolerated."""
        wanted = symbol.strip().upper().replace("/", "-")
        if not _SHAPE.fullmatch(wanted):
            raise UnknownSymbolError(symbol)
        for candidate in (wanted, f"{wanted}-{self._default_quote}"):
            if candidate in self._venues:
                return candidate
        if wanted in self._joined:
            return self._joined[wanted]
        raise UnknownSymbolError(symbol)

    def venues(self, instrument: str) -> tuple[str, ...]:
        """Venues that list this very instrument; together they are its composite."""
        return tuple(sorted(self._venues.get(instrument, ())))

    def check_venue(self, venue: str, instrument: str) -> None:
        if venue != COMPOSITE and venue not in self._venues.get(instrument, ()):
            raise UnknownVenueError(venue, instrument)

    def short_name(self, instrument: str) -> str:
        """What the predecessor called it: `BTC` for the spot market in the default quote."""
        base, _, rest = instrument.partition("-")
        return base if rest == self._default_quote else instrument
