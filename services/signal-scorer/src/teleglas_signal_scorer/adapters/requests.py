"""What callers may ask, checked and named in one way."""

from __future__ import annotations

import math

from teleglas.signal.v1 import signal_pb2 as pb
from teleglas_signal_scorer.domain.weights import validated

__all__ = [
    "MAX_TS",
    "InvalidRequestError",
    "NotFoundError",
    "cost_of",
    "id_parts",
    "instrument_of",
    "range_of",
    "reason_of",
    "weights_of",
]

MAX_TS = (1 << 63) - 1
MAX_NAME = 64
MAX_REASON = 500
MAX_LAYERS = 64
MAX_COST = 1_000.0


class InvalidRequestError(ValueError):
    """The request can never be answered as it is."""


class NotFoundError(LookupError):
    """Nothing is known of what was asked for."""


def instrument_of(name: str, default_quote: str) -> str:
    """The canonical symbol; bare `BTC` means the base asset in the default quote."""
    if not 0 < len(name) <= MAX_NAME or "\0" in name:
        raise InvalidRequestError(
            f"expected an instrument such as BTC-USDT, was {name[:MAX_NAME]!r}"
        )
    return name if "-" in name else f"{name}-{default_quote}"


def range_of(ts_from: int, ts_to: int) -> tuple[int, int]:
    """`[from, to)` with open sides closed."""
    end = ts_to or MAX_TS
    if ts_from < 0 or ts_to < 0 or ts_from > end:
        raise InvalidRequestError(f"expected 0 <= from <= to, was {ts_from} and {ts_to}")
    return ts_from, end


def id_parts(score_id: str) -> tuple[str, int, int]:
    """Instrument, tick and weights version of a score's id."""
    instrument, tick, version = (*score_id[:256].rsplit(":", 2), "", "")[:3]
    is_id = _is_number(tick, 19) and _is_number(version, 9)
    if not is_id or not 0 < len(instrument) <= MAX_NAME or "\0" in instrument:
        raise InvalidRequestError(
            f"expected an id such as BTC-USDT:1735689600000000000:1, was {score_id[:MAX_NAME]!r}"
        )
    return instrument, min(int(tick), MAX_TS), int(version)


def reason_of(text: str) -> str:
    """Why something is changed."""
    reason = text.strip()
    if not 0 < len(reason) <= MAX_REASON or "\0" in reason:
        raise InvalidRequestError(f"expected a reason of 1 to {MAX_REASON} characters")
    return reason


def weights_of(request: pb.SetWeightsRequest) -> tuple[tuple[str, float], ...]:
    """The weights asked for; raises WeightsError where they cannot be."""
    if len(request.layers) > MAX_LAYERS:
        raise InvalidRequestError(f"expected at most {MAX_LAYERS} layers")
    return validated((one.layer, one.weight) for one in request.layers)


def cost_of(basis_points: float) -> float:
    """The cost of a backtest's trades."""
    if not (math.isfinite(basis_points) and 0.0 <= basis_points <= MAX_COST):
        raise InvalidRequestError(f"expected a cost from 0 to {MAX_COST:g} bp, was {basis_points}")
    return basis_points


def _is_number(text: str, digits: int) -> bool:
    return 0 < len(text) <= digits and text.isascii() and text.isdigit()
