"""Exact decimals: a venue's strings become scaled integers without ever being a float."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

from msgspec import DecodeError, Meta, json

__all__ = [
    "MAX_MANTISSA",
    "MAX_PRICE",
    "MAX_SIZE",
    "Exact",
    "RefusedError",
    "exact",
    "parser",
    "rescale",
    "scaled",
]

MAX_MANTISSA = 2**63 - 1
MAX_PRICE = 10**10
"""A price above this many quote units is no price of anything that trades today."""
MAX_SIZE = 10**14
"""Nor is a single size above this many base units; supplies of the largest coins are near it."""
MAX_LENGTH = 48
DOUBLE_DIGITS = 15
"""Decimals of this many digits that differ are doubles that differ."""

Parser = Callable[[str], int]


class RefusedError(ValueError):
    """A value that no venue can mean. `reason` is a stable name that metrics count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Exact(NamedTuple):
    """mantissa x 10^exponent."""

    mantissa: int
    exponent: int

    def times(self, other: Exact) -> Exact:
        """The product, without trailing zeros in the mantissa."""
        return _normal(self.mantissa * other.mantissa, self.exponent + other.exponent)


def _normal(mantissa: int, exponent: int) -> Exact:
    if mantissa == 0:
        return Exact(0, 0)
    while mantissa % 10 == 0:
        mantissa //= 10
        exponent += 1
    return Exact(mantissa, exponent)


def _digits(text: str) -> tuple[str, str]:
    """Whole and fractional digits of an unsigned plain decimal, or the reason why it is none."""
    if len(text) > MAX_LENGTH:
        raise RefusedError("too_long", f"expected at most {MAX_LENGTH} characters, was {len(text)}")
    whole, dot, fraction = text.partition(".")
    if text.isascii() and whole.isdigit() and (fraction.isdigit() or not dot):
        return whole, fraction
    lowered = text.strip().lower().lstrip("+-")
    if lowered in {"nan", "snan", "inf", "infinity"}:
        raise RefusedError("not_finite", f"expected a finite number, was {text!r}")
    if text.startswith("-") and lowered.replace(".", "", 1).isdigit():
        raise RefusedError("negative", f"expected a number of at least 0, was {text!r}")
    raise RefusedError("not_decimal", f"expected a plain decimal number, was {text!r}")


def scaled(text: str, exponent: int) -> int:
    """`text` as an integer in units of 10^exponent; refuses what is finer than that."""
    whole, fraction = _digits(text)
    places = -exponent
    if places < 0:
        value, rest = divmod(int(whole), int(10**exponent))
        if rest or fraction.strip("0"):
            raise RefusedError("too_fine", f"expected steps of 10^{exponent}, was {text!r}")
        return value
    kept, beyond = fraction[:places], fraction[places:]
    if beyond.strip("0"):
        raise RefusedError("too_fine", f"expected at most {places} decimals, was {text!r}")
    value = int(whole + kept.ljust(places, "0"))
    if value > MAX_MANTISSA:
        raise RefusedError("too_large", f"expected to fit 64 bits at 10^{exponent}, was {text!r}")
    return value


def exact(text: str) -> Exact:
    """`text` with its own exponent; may be negative (rates are). Trailing zeros are dropped."""
    sign = -1 if text.startswith("-") else 1
    whole, fraction = _digits(text[1:] if sign < 0 else text)
    if len(fraction) > 18:
        fraction = fraction.rstrip("0")
    value = _normal(sign * int(whole + fraction), -len(fraction))
    if abs(value.mantissa) > MAX_MANTISSA:
        raise RefusedError("too_large", f"expected to fit 64 bits, was {text!r}")
    return value


def rescale(value: Exact, exponent: int) -> int:
    """The mantissa of `value` at another exponent; refuses a loss of digits."""
    shift = value.exponent - exponent
    if shift >= 0:
        return int(value.mantissa * 10**shift)
    quotient, rest = divmod(value.mantissa, 10**-shift)
    if rest:
        raise RefusedError("too_fine", f"expected steps of 10^{exponent}, was {value}")
    return int(quotient)


def parser(exponent: int, *, most: int, zero: bool = False) -> Parser:
    """A fast `scaled` for one field: above 0 (or at least 0 where `zero`), at most `most` units.

    With `e8` behind it a decimal with eight places is a JSON number without any, which msgspec
    reads and bounds in one step. It reads by way of a double: up to fifteen digits each decimal has
    a double of its own, so that no other number can pass for a whole one. Longer texts, and all
    that is wrong, go the slow way, which names what is wrong.
    """
    places = -exponent
    limit = min(MAX_MANTISSA, int(most * 10**places if places >= 0 else most // 10**exponent))
    least = 0 if zero else 1
    factors = tuple(int(10 ** (places - used)) for used in range(places + 1))
    bounded = Annotated[int, Meta(ge=least, le=min(limit, 10**DOUBLE_DIGITS - 1))]
    read = json.Decoder(bounded, strict=False).decode
    suffix = f"e{places}"

    def parse(text: str) -> int:
        # What stands before "0" is a sign or a space.
        if len(text) <= DOUBLE_DIGITS + 1 and text >= "0":
            try:
                return read(text + suffix)
            except DecodeError:
                pass
        return other(text)

    def other(text: str) -> int:
        head, _, tail = text.partition(".")
        digits = head + tail
        plain = digits.isdigit() and digits.isascii() and head and text[-1] != "."
        if plain and len(tail) <= places and len(text) <= MAX_LENGTH:
            value = int(digits) * factors[len(tail)]
        else:
            value = scaled(text, exponent)
        if least <= value <= limit:
            return value
        if value < least:
            raise RefusedError("not_positive", f"expected a number above 0, was {text!r}")
        raise RefusedError("implausible", f"expected at most {most}, was {text!r}")

    return parse
