"""From the channel, symbols and venues of a command to subjects, with an error per symbol."""

from __future__ import annotations

from dataclasses import dataclass, field

from teleglas_gateway.channels import BY_NAME
from teleglas_gateway.channels.base import Channel
from teleglas_gateway.domain.commands import Subscribe, Unsubscribe, names
from teleglas_gateway.domain.positions import SubjectKey
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.domain.symbols import (
    COMPOSITE,
    Catalogue,
    UnknownSymbolError,
    UnknownVenueError,
)

__all__ = ["Expansion", "expand"]

EVERY = "*"


@dataclass(slots=True)
class Expansion:
    channel: Channel
    subjects: list[SubjectKey] = field(default_factory=list)
    errors: list[dict[str, object]] = field(default_factory=list)

    def refuse(self, symbol: str, problem: Problem, venue: str | None = None) -> None:
        error: dict[str, object] = {"symbol": symbol[:64]}
        if venue is not None:
            error["venue"] = venue[:64]
        self.errors.append({**error, "code": problem.code.slug, "detail": problem.detail})


def expand(params: Subscribe | Unsubscribe, catalogue: Catalogue) -> Expansion:
    """Raises Problem where the whole command is wrong; one bad symbol or venue only spoils
    itself.

    No venue means the composite; where a channel has none, every venue that lists the instrument.
    """
    channel = BY_NAME.get(params.channel)
    if channel is None:
        known = ", ".join(sorted({channel.name for channel in BY_NAME.values()}))
        raise Problem(Code.UNKNOWN_CHANNEL, f"expected one of {known}, was {params.channel!r}")
    intervals = _intervals(channel, params)
    expansion = Expansion(channel)
    for symbol in _symbols(params, catalogue):
        try:
            instrument = catalogue.resolve(symbol)
        except UnknownSymbolError as error:
            expansion.refuse(symbol, Problem(Code.UNKNOWN_SYMBOL, str(error)))
            continue
        for venue in names(params.venue) or _default_venues(channel, instrument, catalogue):
            try:
                _check(channel, instrument, venue, catalogue)
            except UnknownVenueError as error:
                expansion.refuse(symbol, Problem(Code.UNKNOWN_VENUE, str(error)), venue)
            else:
                expansion.subjects += [
                    SubjectKey(channel.name, venue, instrument, interval) for interval in intervals
                ]
    expansion.subjects = list(dict.fromkeys(expansion.subjects))
    return expansion


def _symbols(params: Subscribe | Unsubscribe, catalogue: Catalogue) -> list[str]:
    wanted = names(params.symbol)
    return catalogue.instruments() if wanted == (EVERY,) else list(wanted)


def _default_venues(channel: Channel, instrument: str, catalogue: Catalogue) -> tuple[str, ...]:
    return (COMPOSITE,) if channel.has_composite else catalogue.venues(instrument)


def _check(channel: Channel, instrument: str, venue: str, catalogue: Catalogue) -> None:
    catalogue.check_venue(venue, instrument)
    if channel.composite_only if venue != COMPOSITE else not channel.has_composite:
        raise UnknownVenueError(venue, f"{instrument} on {channel.name}")


def _intervals(channel: Channel, params: Subscribe | Unsubscribe) -> tuple[str, ...]:
    wanted = names(params.interval)
    if not channel.intervals:
        if wanted:
            raise Problem(Code.VALIDATION_FAILED, f"expected no interval on {channel.name}")
        return ("",)
    for interval in wanted:
        if interval not in channel.intervals:
            raise Problem(
                Code.VALIDATION_FAILED,
                f"expected intervals of {', '.join(channel.intervals)}, was {interval!r}",
            )
    return wanted or channel.default_intervals
