"""Write captures in format (a), one compressed file per instrument and day."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["CaptureWriter"]

_NS = 1_000_000_000
_COMPRESSION = 6


@dataclass(slots=True)
class _Open:
    file: gzip.GzipFile
    path: Path
    day: str
    size_bytes: int = 0


class CaptureWriter:
    """A file is followed by the next one at midnight UTC of the receive time and at `rotate_bytes`
    of text. An existing file is never written to: `spot_btcusdt_20240808.gz` is followed by
    `spot_btcusdt_20240808.2.gz`.
    """

    def __init__(self, folder: Path, prefix: str, rotate_bytes: int) -> None:
        self._folder = folder
        self._prefix = prefix
        self._rotate_bytes = rotate_bytes
        self._open: dict[str, _Open] = {}
        self.paths: list[Path] = []

    def write(self, ts_recv: int, instrument: str, payload: bytes) -> None:
        """Append a line to the file of `instrument`. `payload` must be one line of text."""
        if b"\n" in payload:
            raise ValueError(f"expected one line of JSON, was {payload[:80]!r}")
        day = datetime.fromtimestamp(ts_recv // _NS, UTC).strftime("%Y%m%d")
        current = self._open.get(instrument)
        if current is None or current.day != day or current.size_bytes >= self._rotate_bytes:
            current = self._rotate(instrument, day)
        line = b"%d %b\n" % (ts_recv, payload)
        current.file.write(line)
        current.size_bytes += len(line)

    def flush(self) -> None:
        """Put what was written so far on disk."""
        for current in self._open.values():
            current.file.flush()

    def close(self) -> None:
        """Finish every file."""
        for current in self._open.values():
            current.file.close()
        self._open.clear()

    def _rotate(self, instrument: str, day: str) -> _Open:
        previous = self._open.pop(instrument, None)
        if previous is not None:
            previous.file.close()
        path = self._free_path(instrument, day)
        current = _Open(gzip.open(path, "xb", compresslevel=_COMPRESSION), path, day)  # noqa: SIM115
        self._open[instrument] = current
        self.paths.append(path)
        return current

    def _free_path(self, instrument: str, day: str) -> Path:
        stem = f"{self._prefix}_{instrument.lower()}_{day}"
        path, number = self._folder / f"{stem}.gz", 1
        while path.exists():
            number += 1
            path = self._folder / f"{stem}.{number}.gz"
        return path
