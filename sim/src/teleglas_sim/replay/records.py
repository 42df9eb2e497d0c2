"""What a capture holds: frames that a venue pushed and REST answers that it gave."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["CaptureError", "Kind", "Recorded"]


class CaptureError(Exception):
    """A capture could not be read or served: which file, what was expected, what was there."""


class Kind(Enum):
    """What a line of a capture is."""

    FRAME = "frame"
    ANSWER = "answer"


class Recorded(NamedTuple):
    """One line of a capture.

    `ts_recv` is the recorder's clock in ns; `url` is the connection or REST address, empty where
    the format does not tell it; `payload` is the venue's text, byte for byte.
    """

    ts_recv: int
    kind: Kind
    url: str
    payload: bytes
