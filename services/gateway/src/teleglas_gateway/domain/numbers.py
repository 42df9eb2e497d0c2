"""Scaled integers to JSON: exact decimal strings for `/v1`, exact JSON numbers for the aliases."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

__all__ = ["DECIMAL_NUMBERS", "DECIMAL_STRINGS", "Numbers", "decimal_string", "iso_ms"]

NS_PER_MS = 1_000_000


def decimal_string(mantissa: int, exponent: int) -> str:
    """`mantissa * 10**exponent` written out exactly, with as many places as the exponent has."""
    if exponent >= 0:
        return str(mantissa * 10**exponent)
    digits = str(abs(mantissa)).rjust(1 - exponent, "0")
    sign = "-" if mantissa < 0 else ""
    return f"{sign}{digits[:exponent]}.{digits[exponent:]}"


def _decimal_number(mantissa: int, exponent: int) -> msgspec.Raw:
    return msgspec.Raw(decimal_string(mantissa, exponent).encode())


def _float_string(value: float) -> str | None:
    """The shortest digits that give the same float again, never with an exponent."""
    return format(Decimal(repr(value)), "f") if math.isfinite(value) else None


def _float_number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def iso_ms(ts_ns: int) -> str:
    """ns UTC as `2026-01-01T12:00:00.000Z`, cut (not rounded) to milliseconds."""
    seconds, rest_ms = divmod(ts_ns // NS_PER_MS, 1000)
    whole = datetime.fromtimestamp(seconds, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest_ms:03d}Z"


class Numbers:
    """How one wire format writes exact decimals and statistics."""

    __slots__ = ("exact", "inexact")

    def __init__(
        self, exact: Callable[[int, int], object], inexact: Callable[[float], object]
    ) -> None:
        self.exact = exact
        self.inexact = inexact

    def optional(self, mantissa: int | None, exponent: int) -> object:
        return None if mantissa is None else self.exact(mantissa, exponent)


DECIMAL_STRINGS = Numbers(decimal_string, _float_string)
DECIMAL_NUMBERS = Numbers(_decimal_number, _float_number)
