"""Between the domain's values and the messages on the wire."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from teleglas.market.v1.candle_pb2 import Candle, Component
from teleglas.market.v1.trade_pb2 import Trade, TradeBatch
from teleglas_common.bus.ports import PoisonError
from teleglas_market_data.domain.intervals import INTERVALS
from teleglas_market_data.domain.trades import ENUM_BITS, ImpossibleTradeError, TradeRow, examine
from teleglas_market_data.ports import StoredCandle, StoredTrades

__all__ = ["ENUM_BITS", "are_names", "candle_id", "candle_key", "candle_message", "stored_trades"]

INT64_MAX = (1 << 63) - 1
MAX_EXPONENT = 30
MAX_HEADERS = 10_000

Header = tuple[str, str, int, int, int]
"""Venue, instrument and the exponents of prices, sizes and contracts."""

_possible_headers: set[Header] = set()
_row: Callable[[Trade], TradeRow] = attrgetter(
    "id", "sequence", "kind", "side", "price", "size", "contracts", "ts_event", "ts_basis",
    "ts_ingest", "print", "backfilled",
)  # fmt: skip


def are_names(*texts: str) -> bool:
    """Whether all of these can be names: not empty, and without NUL, which no database takes."""
    return all(texts) and "\0" not in "".join(texts)


def stored_trades(batch: TradeBatch) -> StoredTrades:
    """The trades of a batch. Raises PoisonError when a value is impossible."""
    header = (
        batch.venue,
        batch.instrument,
        batch.price_exponent,
        batch.size_exponent,
        batch.contracts_exponent,
    )
    if header not in _possible_headers:
        _check_header(header)
    rows: list[TradeRow] = list(map(_row, batch.trades))
    if not rows:
        raise PoisonError("incomplete_batch", f"expected trades, were none ({header})")
    try:
        is_plain = examine(rows)
    except ImpossibleTradeError as error:
        raise PoisonError("impossible_trade", f"{error} ({header})") from error
    return StoredTrades(*header, rows, is_plain)


def _check_header(header: Header) -> None:
    venue, instrument, *exponents = header
    if not are_names(venue, instrument):
        raise PoisonError(
            "incomplete_batch",
            f"expected a venue and an instrument, were {venue!r} and {instrument!r}",
        )
    for exponent in exponents:
        if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
            raise PoisonError(
                "impossible_exponent",
                f"expected an exponent within ±{MAX_EXPONENT}, was {exponent}"
                f" ({venue} {instrument})",
            )
    if len(_possible_headers) < MAX_HEADERS:
        _possible_headers.add(header)


def candle_key(candle: StoredCandle) -> str:
    """The record key: venue:instrument:interval."""
    return f"{candle.venue}:{candle.instrument}:{INTERVALS[candle.level].name}"


def candle_id(candle: StoredCandle) -> str:
    """The event id: the same for every revision and in every replay."""
    return f"{candle_key(candle)}:{candle.bar.ts_open}"


def candle_message(candle: StoredCandle, *, is_closed: bool = True) -> Candle:
    """The candle on the wire."""
    bar, interval = candle.bar, INTERVALS[candle.level]
    shift = _shift(max(bar.quote, bar.buy_quote))
    return Candle(
        venue=candle.venue,
        instrument=candle.instrument,
        interval=interval.name,
        ts_open=bar.ts_open,
        ts_close=bar.ts_open + interval.length_ns,
        price_exponent=candle.price_exponent,
        size_exponent=candle.size_exponent,
        quote_exponent=candle.price_exponent + candle.size_exponent + shift,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        quote_volume=_shifted(bar.quote, shift),
        taker_buy_volume=bar.buy_volume,
        taker_buy_quote_volume=_shifted(bar.buy_quote, shift),
        trades=bar.trades,
        is_closed=is_closed,
        revision=bar.revision,
        completeness=_completeness(candle, interval.length_ns),
        missing_trades=max(bar.missing, 0),
        definition_version=candle.definition_version,
        components=[
            Component(venue=venue, instrument=instrument, trades=trades, fresh=fresh)
            for venue, instrument, trades, fresh in candle.components
        ],
        ts_ingest=bar.ts_ingest,
    )


def _completeness(candle: StoredCandle, length_ns: int) -> float:
    bar = candle.bar
    if candle.contiguous:
        total = bar.trades + bar.missing
        return bar.trades / total if bar.missing > 0 else 1.0
    return 1.0 - min(max(bar.lost_ns, 0), length_ns) / length_ns


def _shift(largest: int) -> int:
    """Decimal digits to drop so that a quote volume fits into 64 bits."""
    shift = 0
    while largest > INT64_MAX:
        largest //= 10
        shift += 1
    return shift


def _shifted(value: int, shift: int) -> int:
    divisor: int = 10**shift
    return (value + divisor // 2) // divisor
