"""Byte strings one behind the other in an unnamed temporary file."""

from __future__ import annotations

import os
import tempfile
from array import array
from itertools import pairwise
from typing import IO

__all__ = ["BlobFile"]

_WRITE_BUFFER_BYTES = 1 << 20


class BlobFile:
    """Keeps 8 bytes of memory per byte string; the system takes the file back when it is closed."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=_WRITE_BUFFER_BYTES)  # noqa: SIM115
        self._bounds = array("q", [0])
        self._is_flushed = True

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def append(self, blob: bytes) -> int:
        """Add a byte string; returns its index."""
        self._file.write(blob)
        self._bounds.append(self._bounds[-1] + len(blob))
        self._is_flushed = False
        return len(self._bounds) - 2

    def read(self, start: int, stop: int) -> list[bytes]:
        """The byte strings `start` to `stop`, exclusive, in one read."""
        if not self._is_flushed:
            self._file.flush()
            self._is_flushed = True
        bounds = self._bounds[start : stop + 1]
        first = bounds[0]
        block = os.pread(self._file.fileno(), bounds[-1] - first, first)
        return [block[a - first : b - first] for a, b in pairwise(bounds)]

    def close(self) -> None:
        self._file.close()
