"""What a caller asked for, checked: bounds of every name, list, number and cursor."""

from __future__ import annotations

from collections.abc import Sequence

from teleglas_common.paging import CursorError, decode_cursor
from teleglas_prediction.adapters.messages import MAX_NAME
from teleglas_prediction.domain.horizons import BY_NS, HORIZONS
from teleglas_prediction.domain.models import BOOSTED, RANDOM_WALK

__all__ = [
    "MAX_INSTRUMENTS",
    "MAX_TS",
    "InvalidRequestError",
    "NotFoundError",
    "Symbols",
    "horizon_of",
    "horizons_of",
    "ledger_mark",
    "model_of",
    "range_of",
]

MAX_INSTRUMENTS = 50
"""Of one batch."""
MAX_TS = (1 << 63) - 1
MAX_ID = 200


class InvalidRequestError(ValueError):
    """The request can never be answered as it is."""


class NotFoundError(LookupError):
    """Nothing is known of what was asked for."""


class Symbols:
    """Bare `BTC` means the base asset in the default quote; all on the composite."""

    def __init__(self, default_quote: str) -> None:
        self._default_quote = default_quote

    def instrument(self, name: str) -> str:
        """The canonical symbol; raises InvalidRequestError for what cannot be one."""
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise InvalidRequestError(
                f"expected an instrument such as BTC-USDT, was {name[:MAX_NAME]!r}"
            )
        return name if "-" in name else f"{name}-{self._default_quote}"

    def instruments(self, names: Sequence[str]) -> list[str]:
        """Canonical symbols, each once."""
        if not 0 < len(names) <= MAX_INSTRUMENTS:
            raise InvalidRequestError(
                f"expected 1 to {MAX_INSTRUMENTS} instruments, were {len(names)}"
            )
        return list(dict.fromkeys(self.instrument(name) for name in names))


def horizon_of(length_ns: int) -> int:
    """A known horizon in ns."""
    if length_ns not in BY_NS:
        known = ", ".join(f"{one.length_ns} ({one.name})" for one in HORIZONS)
        raise InvalidRequestError(f"expected a horizon of {known} ns, was {length_ns}")
    return length_ns


def horizons_of(lengths_ns: Sequence[int]) -> list[int]:
    """Known horizons, each once; none named means all."""
    if len(lengths_ns) > len(HORIZONS):
        raise InvalidRequestError(
            f"expected at most {len(HORIZONS)} horizons, were {len(lengths_ns)}"
        )
    return list(dict.fromkeys(horizon_of(one) for one in lengths_ns)) or list(BY_NS)


def model_of(name: str) -> str:
    """A known kind of model, or nothing for the champion."""
    if name not in ("", RANDOM_WALK, BOOSTED):
        raise InvalidRequestError(
            f"expected {RANDOM_WALK}, {BOOSTED} or nothing, was {name[:MAX_NAME]!r}"
        )
    return name


def range_of(ts_from: int, ts_to: int) -> tuple[int, int]:
    """`[from, to)` with open sides closed."""
    end = ts_to or MAX_TS
    if ts_from < 0 or ts_to < 0 or ts_from > end:
        raise InvalidRequestError(f"expected 0 <= from <= to, was {ts_from} and {ts_to}")
    return ts_from, end


def ledger_mark(scope: str, token: str) -> tuple[int, str]:
    """Time and id of the last entry of the page before; behind the newest without a token."""
    if not token:
        return MAX_TS, ""
    match decode_cursor(scope, token):
        case (int(ts), str(entry_id)) if 0 <= ts <= MAX_TS and len(entry_id) <= MAX_ID:
            if entry_id.isprintable():
                return ts, entry_id
    raise CursorError("expected a cursor of this list, was one of another")
