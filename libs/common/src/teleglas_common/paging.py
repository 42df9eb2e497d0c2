"""Opaque cursors: where the next page begins, in a form that clients hand back unchanged."""

from __future__ import annotations

import base64
import binascii

import msgspec

__all__ = ["CursorError", "decode_cursor", "encode_cursor", "page_size"]

Position = tuple[int | str, ...]
MAX_CURSOR_CHARS = 512
_decoder = msgspec.msgpack.Decoder(tuple[int | str, ...])


class CursorError(ValueError):
    """Not a cursor that we gave out."""


def encode_cursor(scope: str, position: Position) -> str:
    """A cursor for one kind of list; `scope` names the list and its filters."""
    raw = msgspec.msgpack.encode((scope, *position))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(scope: str, cursor: str) -> Position:
    """The position in a cursor of the same scope; CursorError for anything else."""
    if len(cursor) > MAX_CURSOR_CHARS:
        raise CursorError(f"expected a cursor of this list, was {len(cursor)} characters")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = _decoder.decode(raw)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise CursorError("expected a cursor of this list, was not one") from None
    if not found or found[0] != scope:
        raise CursorError("expected a cursor of this list, was one of another")
    return found[1:]


def page_size(asked: int, *, default: int = 100, most: int = 1_000) -> int:
    """The page size in force; 0 asks for the default."""
    if asked < 0:
        raise CursorError(f"expected a page size from 1 to {most}, was {asked}")
    return min(asked or default, most)
