"""What callers may ask: markets, intervals and ranges, checked and named in one way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from teleglas_market_data.adapters.queries import MAX_TS
from teleglas_market_data.domain.intervals import BY_NAME, INTERVALS
from teleglas_market_data.ports import Market

__all__ = [
    "COMPOSITE",
    "InvalidRequestError",
    "NotFoundError",
    "Symbols",
    "check_filters",
    "levels_of",
    "range_of",
]

COMPOSITE = "composite"
MAX_NAME = 64


class InvalidRequestError(ValueError):
    """The request can never be answered as it is."""


class NotFoundError(LookupError):
    """Nothing is known of what was asked for."""


class Symbols:
    """Bare `BTC` means the base asset in the default quote, on the composite where no venue is
    named.
    """

    def __init__(self, default_quote: str) -> None:
        self._default_quote = default_quote

    def market(self, venue: str, instrument: str) -> Market:
        """Raises InvalidRequestError for what cannot be a market."""
        check_filters(venue, instrument)
        if not instrument:
            raise InvalidRequestError("expected an instrument such as BTC-USDT, was none")
        return venue or COMPOSITE, self.instrument(instrument)

    def instrument(self, name: str) -> str:
        """The canonical symbol."""
        return name if "-" in name else f"{name}-{self._default_quote}"

    def filter(self, venue: str, instruments: Collection[str]) -> Callable[[Market], bool]:
        """Which markets a stream wants; nothing named means all."""
        wanted = frozenset(self.instrument(name) for name in instruments)

        def wants(market: Market) -> bool:
            return (not venue or market[0] == venue) and (not wanted or market[1] in wanted)

        return wants


def check_filters(*names: str) -> None:
    """Raises InvalidRequestError for what can be no name; an empty one asks for everything."""
    for name in names:
        if len(name) > MAX_NAME or "\0" in name:
            raise InvalidRequestError(
                f"expected a name of at most {MAX_NAME} characters, was {name[:MAX_NAME]!r}"
            )


def levels_of(intervals: Sequence[str]) -> tuple[int, ...]:
    """Positions of intervals by name; all of them where none is named."""
    for name in intervals:
        if name not in BY_NAME:
            raise InvalidRequestError(
                f"expected an interval of {', '.join(BY_NAME)}, was {name[:MAX_NAME]!r}"
            )
    wanted = frozenset(intervals)
    return tuple(at for at, one in enumerate(INTERVALS) if not wanted or one.name in wanted)


def range_of(ts_from: int, ts_to: int) -> tuple[int, int]:
    """`[from, to)` with open sides closed."""
    end = ts_to or MAX_TS
    if ts_from < 0 or ts_to < 0 or ts_from > end:
        raise InvalidRequestError(f"expected 0 <= from <= to, was {ts_from} and {ts_to}")
    return ts_from, end
