"""An instrument's open candles as bytes: equal states give equal bytes."""

from __future__ import annotations

from collections import deque

import msgspec

from teleglas_market_data.domain.admission import Admission
from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.candles import InstrumentCandles, Level, LostSpan
from teleglas_market_data.domain.intervals import INTERVALS
from teleglas_market_data.domain.sequences import RecentIds, SeenRanges

__all__ = [
    "STATE_VERSION",
    "PackedBar",
    "StateVersionError",
    "dump_candles",
    "load_candles",
    "pack_bar",
    "unpack_bar",
]

STATE_VERSION = 1

PackedBar = tuple[
    int, int, int, int, int, int, int, int, int, int, str, int, str, int, int, int, int
]
"""Fields of Bar up to `ts_ingest`; quotes as text, because a week of them can pass 64 bits."""


class StateVersionError(Exception):
    """A stored state was written by another version of this service."""


class PackedLevel(msgspec.Struct, array_like=True, frozen=True):
    frontier: int
    carry: int | None
    flat_run: int
    bars: list[PackedBar]


class PackedCandles(msgspec.Struct, array_like=True, frozen=True):
    version: int
    venue: str
    instrument: str
    price_exponent: int
    size_exponent: int
    contiguous: bool
    watermark: int
    ranges: list[tuple[int, int, list[list[int]]]]
    recent: list[tuple[int, int, list[tuple[str, int]]]]
    levels: list[PackedLevel]
    lost: list[tuple[str, int, int]]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(PackedCandles)


def dump_candles(candles: InstrumentCandles) -> bytes:
    """Everything that `load_candles` needs to go on as if nothing had happened."""
    return _ENCODER.encode(
        PackedCandles(
            STATE_VERSION,
            candles.venue,
            candles.instrument,
            candles.price_exponent,
            candles.size_exponent,
            candles.contiguous,
            candles.watermark,
            [(k, seen.floor, seen.ranges) for k, seen in sorted(candles.admission.ranges.items())],
            [
                (k, recent.floor_ts, list(recent.order))
                for k, recent in sorted(candles.admission.recent.items())
            ],
            [_pack_level(level) for level in candles.levels],
            [(gap, *span) for gap, span in sorted(candles.lost.items())],
        )
    )


def load_candles(data: bytes) -> InstrumentCandles:
    """Raises StateVersionError when the bytes are of another version."""
    packed = _DECODER.decode(data)
    if packed.version != STATE_VERSION:
        raise StateVersionError(
            f"expected a candle state of version {STATE_VERSION}, found {packed.version}"
            f" ({packed.venue}:{packed.instrument})"
        )
    return InstrumentCandles(
        venue=packed.venue,
        instrument=packed.instrument,
        price_exponent=packed.price_exponent,
        size_exponent=packed.size_exponent,
        contiguous=packed.contiguous,
        watermark=packed.watermark,
        admission=Admission(
            {kind: SeenRanges(ranges, floor) for kind, floor, ranges in packed.ranges},
            {
                kind: RecentIds(deque(order), {trade_id for trade_id, _ in order}, floor)
                for kind, floor, order in packed.recent
            },
        ),
        levels=[
            Level(
                interval,
                level.frontier,
                {bar[0]: unpack_bar(bar) for bar in level.bars},
                level.carry,
                level.flat_run,
            )
            for interval, level in zip(INTERVALS, packed.levels, strict=True)
        ],
        lost={gap: LostSpan(ts_from, ts_to) for gap, ts_from, ts_to in packed.lost},
    )


def _pack_level(level: Level) -> PackedLevel:
    bars = [pack_bar(level.bars[ts_open]) for ts_open in sorted(level.bars)]
    return PackedLevel(level.frontier, level.carry, level.flat_run, bars)


def pack_bar(bar: Bar) -> PackedBar:
    """A bar without its revision, which an open one does not have."""
    return (
        bar.ts_open,
        bar.first_ts,
        bar.first_sequence,
        bar.open,
        bar.high,
        bar.low,
        bar.last_ts,
        bar.last_sequence,
        bar.close,
        bar.volume,
        str(bar.quote),
        bar.buy_volume,
        str(bar.buy_quote),
        bar.trades,
        bar.missing,
        bar.lost_ns,
        bar.ts_ingest,
    )


def unpack_bar(packed: PackedBar) -> Bar:
    """The bar that `pack_bar` took."""
    bar = Bar(*packed[:10], 0, packed[11], 0, *packed[13:])
    bar.quote, bar.buy_quote = int(packed[10]), int(packed[12])
    return bar
