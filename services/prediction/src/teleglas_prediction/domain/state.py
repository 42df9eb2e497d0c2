"""A series as bytes: equal states give equal bytes, and floats come back to the last bit."""

from __future__ import annotations

import msgspec
import numpy as np

from teleglas_prediction.domain.bars import COLUMNS, Window
from teleglas_prediction.domain.conformal import Conformal
from teleglas_prediction.domain.horizons import INTERVALS_NS
from teleglas_prediction.domain.series import Entry, Key, Series, Standing
from teleglas_prediction.domain.skill import Skill

__all__ = ["StateVersionError", "dump_series", "load_series"]

STATE_VERSION = 1


class StateVersionError(Exception):
    """A stored state was written by another version of this service."""


class PackedSeries(msgspec.Struct, array_like=True, frozen=True):
    version: int
    interval: str
    ts_close: int
    jumped_to: int
    rows: bytes
    open: list[Entry]
    standings: list[tuple[Key, tuple[float, ...], int, Skill]]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(PackedSeries)


def dump_series(series: Series) -> bytes:
    """The whole series, open forecasts and calibration among it."""
    return _ENCODER.encode(
        PackedSeries(
            STATE_VERSION,
            series.interval,
            series.window.ts_close,
            series.window.jumped_to,
            np.ascontiguousarray(series.window.rows, dtype="<f8").tobytes(),
            series.open,
            [
                (key, one.conformal.widths, one.conformal.resolved, one.skill)
                for key, one in sorted(series.standings.items())
            ],
        )
    )


def load_series(state: bytes) -> Series:
    """The series again; raises StateVersionError for bytes of another version."""
    try:
        packed = _DECODER.decode(state)
    except msgspec.DecodeError as error:
        raise StateVersionError(f"expected state version {STATE_VERSION}: {error}") from error
    if packed.version != STATE_VERSION:
        raise StateVersionError(f"expected state version {STATE_VERSION}, was {packed.version}")
    rows = np.frombuffer(packed.rows, dtype="<f8").reshape(-1, COLUMNS).astype(np.float64)
    return Series(
        packed.interval,
        Window(INTERVALS_NS[packed.interval], packed.ts_close, rows, packed.jumped_to),
        list(packed.open),
        {
            key: Standing(Conformal(widths, resolved), skill)
            for key, widths, resolved, skill in packed.standings
        },
    )
