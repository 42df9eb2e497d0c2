"""Parameters that several routes share: symbols, times, cursors, pages."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request

from teleglas_common.paging import decode_cursor, encode_cursor
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.domain.symbols import (
    COMPOSITE,
    Catalogue,
    UnknownSymbolError,
    UnknownVenueError,
)

__all__ = [
    "ID_PATTERN",
    "MAX_SYMBOLS",
    "TEXT_PATTERN",
    "CursorParam",
    "FromParam",
    "LimitParam",
    "OptionalSymbolParam",
    "SymbolParam",
    "SymbolsParam",
    "ToParam",
    "VenueParam",
    "next_link",
    "page_token",
    "parse_time",
    "resolve",
    "resolve_optional",
    "resolve_venue",
]

NS_PER_MS = 1_000_000
MAX_NS = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SymbolParam = Annotated[
    str,
    Query(max_length=64, description="`BTC-USDT`, `BTC-USDT-PERP`; `BTC` in the default quote"),
]
OptionalSymbolParam = Annotated[str | None, Query(max_length=64, description="None: every market")]
MAX_SYMBOLS = 20
SymbolsParam = Annotated[
    list[str] | None, Query(max_length=MAX_SYMBOLS, description="May be given several times")
]
ID_PATTERN = r"^[!-~]+$"
"""Printable ASCII without spaces: ids are made of names, numbers and colons."""
TEXT_PATTERN = r"^[^\x00-\x1f\x7f]+$"
VenueParam = Annotated[
    str | None, Query(max_length=64, description="`binance`, `okx`, …, or `composite`")
]
CursorParam = Annotated[
    str | None, Query(max_length=1024, description="`next_cursor` of the page before")
]
LimitParam = Annotated[int, Query(ge=1, le=1000, description="Rows a page")]
_TIME = "RFC 3339 with a zone, or ms since 1970"
FromParam = Annotated[str | None, Query(alias="from", max_length=40, description=_TIME)]
ToParam = Annotated[str | None, Query(max_length=40, description=f"Exclusive. {_TIME}")]


def resolve(catalogue: Catalogue, symbol: str) -> str:
    try:
        return catalogue.resolve(symbol)
    except UnknownSymbolError as error:
        raise Problem(Code.UNKNOWN_SYMBOL, str(error)) from error


def resolve_optional(catalogue: Catalogue, symbol: str | None) -> str:
    """Empty where none was given."""
    return "" if symbol is None else resolve(catalogue, symbol)


def resolve_venue(
    catalogue: Catalogue, instrument: str, venue: str | None, *, composite: bool
) -> str:
    """No venue means the composite; where there is none, the first venue that lists the symbol."""
    if venue is None:
        return COMPOSITE if composite else catalogue.venues(instrument)[0]
    try:
        catalogue.check_venue(venue, instrument)
    except UnknownVenueError as error:
        raise Problem(Code.UNKNOWN_VENUE, str(error)) from error
    if venue == COMPOSITE and not composite:
        known = ", ".join(catalogue.venues(instrument))
        raise Problem(Code.UNKNOWN_VENUE, f"expected one of {known}, was {COMPOSITE}")
    return venue


def parse_time(text: str | None, name: str) -> int:
    """ns UTC; 0 where none was given."""
    if text is None:
        return 0
    try:
        if text.isascii() and text.isdigit():
            ts_ns = int(text) * NS_PER_MS
        else:
            ts_ns = int((datetime.fromisoformat(text) - _EPOCH).total_seconds() * 1000) * NS_PER_MS
    except (ValueError, TypeError, OverflowError) as error:
        raise Problem(
            Code.VALIDATION_FAILED, f"expected {name} as {_TIME}, was {text!r}: {error}"
        ) from error
    if not 0 <= ts_ns <= MAX_NS:
        raise Problem(Code.VALIDATION_FAILED, f"expected {name} from 1970 to 2262, was {text!r}")
    return ts_ns


def page_token(cursor: str | None, *query: object) -> str:
    """The token inside a cursor; a cursor of another query is refused."""
    if cursor is None:
        return ""
    try:
        (token,) = decode_cursor(_fingerprint(query), cursor)
    except ValueError as error:
        raise Problem(Code.INVALID_CURSOR, str(error)) from error
    return str(token)


def next_link(request: Request, token: str, *query: object) -> tuple[str | None, str | None]:
    """The cursor and the link of the next page; nothing after the last."""
    if not token:
        return None, None
    cursor = encode_cursor(_fingerprint(query), (token,))
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return cursor, f"{request.url.path}?{urlencode([*kept, ('cursor', cursor)])}"


def _fingerprint(query: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(query).encode()).hexdigest()[:16]
