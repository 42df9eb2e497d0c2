"""Where a stream stands: subjects, sequence numbers and resume tokens."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

__all__ = [
    "INDEX_LIMIT",
    "MAX_TOKEN_BYTES",
    "InvalidTokenError",
    "Position",
    "SubjectKey",
    "checked_positions",
    "decode_token",
    "encode_token",
    "index_of",
    "offset_of",
    "pack_seq",
    "parse_subject",
]

INDEX_BITS = 10
INDEX_LIMIT = 1 << INDEX_BITS
"""Messages one record can hold; a TradeBatch holds at most 512."""
MAX_SEQ = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""
MAX_TOKEN_BYTES = 128 * 1024


class SubjectKey(NamedTuple):
    """What one chain of sequence numbers is about. `interval` is empty but for candles."""

    channel: str
    venue: str
    instrument: str
    interval: str = ""

    def __str__(self) -> str:
        return ":".join(part for part in self if part)


class Position(NamedTuple):
    """The last message that a client has of a subject, in one life of the topic."""

    epoch: str
    seq: int


class InvalidTokenError(ValueError):
    """A resume token that no gateway can have written."""


def pack_seq(offset: int, index: int) -> int:
    """`offset * 1024 + index`: the record's offset and the message's place in the record."""
    if not 0 <= index < INDEX_LIMIT:
        raise ValueError(f"expected an index below {INDEX_LIMIT}, was {index} (offset {offset})")
    return offset << INDEX_BITS | index


def offset_of(seq: int) -> int:
    return seq >> INDEX_BITS


def index_of(seq: int) -> int:
    return seq & (INDEX_LIMIT - 1)


def parse_subject(text: str) -> SubjectKey:
    parts = text.split(":")
    if not 3 <= len(parts) <= 4 or not all(parts):
        raise InvalidTokenError(f"expected channel:venue:instrument[:interval], was {text[:80]!r}")
    return SubjectKey(*parts)


_POSITIONS = msgspec.json.Decoder(dict[str, tuple[str, int]])


def encode_token(positions: Mapping[SubjectKey, Position]) -> str:
    """One opaque, URL-safe string; not secret and not signed, for it grants nothing."""
    plain = {str(subject): tuple(position) for subject, position in positions.items()}
    return base64.urlsafe_b64encode(msgspec.json.encode(plain)).rstrip(b"=").decode()


def decode_token(token: str) -> dict[SubjectKey, Position]:
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidTokenError(f"expected at most {MAX_TOKEN_BYTES} bytes, was {len(token)}")
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        return checked_positions(_POSITIONS.decode(raw))
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise InvalidTokenError(f"expected a token of this service: {error}") from error


def checked_positions(plain: Mapping[str, tuple[str, int]]) -> dict[SubjectKey, Position]:
    positions = {}
    for name, (epoch, seq) in plain.items():
        if not 0 <= seq <= MAX_SEQ:
            raise InvalidTokenError(f"expected a seq of 0 to {MAX_SEQ}, was {seq} ({name[:80]})")
        positions[parse_subject(name)] = Position(epoch, seq)
    return positions
