"""Reference data of one instrument, and what a size of its venue means in base units."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from msgspec import Struct, structs

from teleglas_ingest.domain.numbers import (
    MAX_MANTISSA,
    MAX_PRICE,
    MAX_SIZE,
    Exact,
    Parser,
    RefusedError,
    parser,
)

__all__ = ["Instrument", "Kind", "Market", "Status"]

INVERSE_SIZE_EXPONENT = -8
"""Base quantity of an inverse contract is a quotient: rounded half to even at this exponent."""


class Kind(IntEnum):
    SPOT = 1
    PERPETUAL = 2
    FUTURE = 3


class Status(IntEnum):
    TRADING = 1
    HALTED = 2
    PRE_LISTING = 3
    EXPIRED = 4


class Instrument(Struct, frozen=True, kw_only=True):
    """One instrument of one venue. Exponents are those of all its trades and books."""

    venue: str
    symbol: str
    venue_symbol: str
    kind: Kind
    base: str
    quote: str
    settle: str
    tick_size: Exact
    lot_size: Exact
    status: Status
    price_exponent: int
    size_exponent: int
    contracts_exponent: int = 0
    contract_multiplier: Exact | None = None
    inverse: bool = False
    ts_expiry: int = 0

    @property
    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"

    def differs(self, other: Instrument) -> bool:
        return structs.astuple(self) != structs.astuple(other)


class Market:
    """An instrument made ready for its frames: parsers, and contracts turned into base units."""

    __slots__ = ("base_size", "contracts", "instrument", "key", "price", "size", "symbol", "venue")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.venue = instrument.venue
        self.key = instrument.key
        self.price: Parser = parser(instrument.price_exponent, most=MAX_PRICE)
        self.size: Parser = parser(instrument.size_exponent, most=MAX_SIZE, zero=True)
        self.contracts: Parser = parser(instrument.contracts_exponent, most=MAX_SIZE, zero=True)
        self.base_size: Callable[[int, int], int] = _base_size(instrument)


def _base_size(instrument: Instrument) -> Callable[[int, int], int]:
    """(contracts, price) → base quantity, each scaled by the instrument's exponents."""
    multiplier = instrument.contract_multiplier
    if multiplier is None:
        return lambda contracts, price: contracts  # noqa: ARG005
    if not instrument.inverse:
        shift = instrument.contracts_exponent + multiplier.exponent - instrument.size_exponent
        factor = multiplier.mantissa * 10**shift
        return lambda contracts, price: contracts * factor  # noqa: ARG005
    scale = (
        instrument.contracts_exponent
        + multiplier.exponent
        - instrument.price_exponent
        - instrument.size_exponent
    )
    above = multiplier.mantissa * 10 ** max(scale, 0)
    below = 10 ** max(-scale, 0)

    def inverse(contracts: int, price: int) -> int:
        value = _half_even(contracts * above, price * below)
        if value > MAX_MANTISSA:
            raise RefusedError("implausible", f"expected a base size in 64 bits, was {value}")
        return value

    return inverse


def _half_even(above: int, below: int) -> int:
    quotient, rest = divmod(above, below)
    twice = 2 * rest
    return quotient + (twice > below or (twice == below and quotient % 2 == 1))
