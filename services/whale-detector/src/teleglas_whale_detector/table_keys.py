"""The keys of the table: each begins with its partition number."""

from __future__ import annotations

from collections.abc import Collection

from teleglas_whale_detector.ports import Market

__all__ = ["cold_key", "head_key", "keys_of"]


def head_key(number: int) -> bytes:
    """The table's key of a partition's state."""
    return b"%d/head" % number


def cold_key(number: int, market: Market, slot: int) -> bytes:
    return f"{number}/cold/{slot}/{market[0]}:{market[1]}".encode()


def keys_of(number: int, keys: Collection[bytes]) -> list[bytes]:
    """Those keys that belong to a partition number."""
    prefix = b"%d/" % number
    return [key for key in keys if key.startswith(prefix)]
