"""Between the domain's values and the messages on the wire."""

from __future__ import annotations

from teleglas.market.v1.liquidation_pb2 import Liquidation
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas.market.v1.types_pb2 import Decimal as DecimalMessage
from teleglas.market.v1.types_pb2 import Side
from teleglas.whale.v1.whale_pb2 import Impact, NotionalUsd, WhaleAlert, WhaleKind
from teleglas_common.bus.ports import PoisonError
from teleglas_whale_detector.domain.alerts import Alert, Stage

__all__ = [
    "alert_message",
    "check_exponents",
    "check_header",
    "check_liquidation",
    "check_mark",
    "check_names",
]

MAX_NAME = 64
MAX_EXPONENT = 18
MAX_INSTRUMENTS = 2_000
INT64_MAX = (1 << 63) - 1
DOLLARS = frozenset({"USD", "USDT", "USDC", "FDUSD", "TUSD", "DAI", "PYUSD"})


def are_names(*texts: str) -> bool:
    """Whether all of these can be names: not empty, not endless, and without NUL."""
    return all(0 < len(text) <= MAX_NAME for text in texts) and "\0" not in "".join(texts)


def check_header(batch: TradeBatch) -> None:
    """Raises PoisonError when a batch cannot be an instrument's trades."""
    if not are_names(batch.venue, batch.instrument) or not batch.trades:
        raise PoisonError(
            "incomplete_batch",
            f"expected a venue, an instrument and trades, were {batch.venue[:MAX_NAME]!r},"
            f" {batch.instrument[:MAX_NAME]!r} and {len(batch.trades)}",
        )
    check_exponents(batch.price_exponent, batch.size_exponent)


def check_names(*texts: str) -> None:
    """Raises PoisonError when one of these cannot be a name."""
    if not are_names(*texts):
        raise PoisonError(
            "incomplete_names",
            f"expected names of 1 to {MAX_NAME} characters, were {[t[:MAX_NAME] for t in texts]}",
        )


def check_exponents(*exponents: int) -> None:
    """Raises PoisonError for an exponent that no market has."""
    for exponent in exponents:
        if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
            raise PoisonError(
                "impossible_exponent",
                f"expected an exponent within ±{MAX_EXPONENT}, was {exponent}",
            )


def check_liquidation(one: Liquidation) -> None:
    """Raises PoisonError when a forced order is impossible."""
    named = are_names(one.venue, one.instrument) and 0 < len(one.id) <= 256
    if not named or one.price <= 0 or one.size <= 0 or one.ts_event <= 0 or one.side not in (1, 2):
        raise PoisonError(
            "impossible_liquidation",
            "expected an id, a venue, an instrument, a side, time, price and size above 0,"
            f" were {one.id[:MAX_NAME]!r}, {one.venue[:MAX_NAME]!r}, {one.price}, {one.size}",
        )
    check_exponents(one.price_exponent, one.size_exponent)


def check_mark(mark: Progress) -> None:
    """Raises PoisonError when a mark says nothing that can be trusted."""
    named = are_names(mark.venue, *mark.instruments) and 0 < len(mark.source) <= 256
    fits = len(mark.instruments) <= MAX_INSTRUMENTS
    if not named or not fits or mark.ts_event <= 0 or mark.lease_ns < 0:
        raise PoisonError(
            "impossible_progress",
            "expected a venue, a source, a time above 0 and a lease of 0 or more,"
            f" were {mark.venue[:MAX_NAME]!r}, {mark.source[:MAX_NAME]!r}, {mark.ts_event}",
        )


def dollars_of(instrument: str) -> str | None:
    """The quote currency where it is worth a dollar."""
    parts = instrument.split("-")
    return parts[1] if len(parts) > 1 and parts[1] in DOLLARS else None


def alert_message(
    venue: str, instrument: str, alert: Alert, revision: int, definition_version: int
) -> WhaleAlert:
    """An alert on the wire; its notional is the exact sum unless that needs more than 63 bits."""
    parent = alert.parent
    quote_exponent = alert.price_exponent + alert.size_exponent
    shift = _shift(max(parent.notional, alert.threshold))
    message = WhaleAlert(
        id=alert.id,
        revision=revision,
        venue=venue,
        instrument=instrument,
        kind=WhaleKind.ValueType(alert.kind),
        side=Side.ValueType(parent.side),
        price_exponent=alert.price_exponent,
        size_exponent=alert.size_exponent,
        quote_exponent=quote_exponent + shift,
        notional=_shifted(parent.notional, shift),
        size=min(parent.size, INT64_MAX),
        vwap=min((parent.notional + parent.size // 2) // parent.size, INT64_MAX),
        ts_first_fill=parent.ts_first,
        ts_last_fill=parent.ts_last,
        fills=parent.fills,
        levels_consumed=parent.levels,
        impacts=[
            Impact(horizon_ns=horizon, basis_points=points)
            for horizon, points in sorted(alert.impacts.items())
        ],
        threshold=_shifted(alert.threshold, shift),
        percentile=alert.percentile,
        is_closed=alert.stage is not Stage.CROSSED,
        definition_version=definition_version,
        first_trade_id=parent.first_id,
        last_trade_id=parent.last_id,
        lower_bound=alert.lower_bound,
        trade_ids=parent.ids,
        ts_event=alert.ts_event,
    )
    if alert.depth_share is not None:
        message.depth_share = alert.depth_share
    quote = dollars_of(instrument)
    if quote is not None:
        message.notional_usd.CopyFrom(
            NotionalUsd(
                amount=DecimalMessage(mantissa=message.notional, exponent=message.quote_exponent),
                rate=DecimalMessage(mantissa=1),
                rate_source=f"{quote} taken at one dollar",
                ts_rate=parent.ts_last,
            )
        )
    return message


def _shift(largest: int) -> int:
    """Decimal digits to drop so that a notional fits into 64 bits."""
    shift = 0
    while largest > INT64_MAX:
        largest //= 10
        shift += 1
    return shift


def _shifted(value: int, shift: int) -> int:
    divisor: int = 10**shift
    return (value + divisor // 2) // divisor
