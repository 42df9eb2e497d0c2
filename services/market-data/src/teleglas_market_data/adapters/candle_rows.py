"""Candles as rows and back."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.ports import StoredCandle

__all__ = ["COLUMNS", "candle_of", "row_of"]

COLUMNS = (
    "venue", "instrument", "ts_open", "price_exponent", "size_exponent", "open", "high", "low",
    "close", "first_ts", "first_sequence", "last_ts", "last_sequence", "volume", "quote",
    "buy_volume", "buy_quote", "trades", "missing", "lost_ns", "contiguous", "revision", "ts_known",
    "ts_ingest", "definition_version", "components",
)  # fmt: skip

_components = msgspec.msgpack.Decoder(tuple[tuple[str, str, int, bool], ...])


def row_of(candle: StoredCandle) -> tuple[Any, ...]:
    """Values of COLUMNS."""
    bar = candle.bar
    return (
        candle.venue,
        candle.instrument,
        bar.ts_open,
        candle.price_exponent,
        candle.size_exponent,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.first_ts,
        bar.first_sequence,
        bar.last_ts,
        bar.last_sequence,
        bar.volume,
        Decimal(bar.quote),
        bar.buy_volume,
        Decimal(bar.buy_quote),
        bar.trades,
        bar.missing,
        bar.lost_ns,
        candle.contiguous,
        bar.revision,
        candle.ts_known,
        bar.ts_ingest,
        candle.definition_version,
        msgspec.msgpack.encode(candle.components) if candle.components else None,
    )


def candle_of(row: Mapping[str, Any], level: int) -> StoredCandle:
    """The candle that a row of a level's table holds."""
    bar = Bar(
        ts_open=row["ts_open"],
        first_ts=row["first_ts"],
        first_sequence=row["first_sequence"],
        open=row["open"],
        high=row["high"],
        low=row["low"],
        last_ts=row["last_ts"],
        last_sequence=row["last_sequence"],
        close=row["close"],
        volume=row["volume"],
        quote=int(row["quote"]),
        buy_volume=row["buy_volume"],
        buy_quote=int(row["buy_quote"]),
        trades=row["trades"],
        missing=row["missing"],
        lost_ns=row["lost_ns"],
        ts_ingest=row["ts_ingest"],
        revision=row["revision"],
    )
    packed = row["components"]
    return StoredCandle(
        venue=row["venue"],
        instrument=row["instrument"],
        level=level,
        price_exponent=row["price_exponent"],
        size_exponent=row["size_exponent"],
        contiguous=row["contiguous"],
        ts_known=row["ts_known"],
        bar=bar,
        definition_version=row["definition_version"],
        components=_components.decode(packed) if packed else (),
    )
