"""Who asks: a signed statement that services pass on in gRPC metadata.

Token: base64url(payload) "." base64url(HMAC-SHA256(payload)). Keys are tried in order, so that one
can be replaced while tokens of the other are still about.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

import msgspec

from teleglas_common.clock import Clock

__all__ = ["METADATA_KEY", "Principal", "PrincipalError", "Signer"]

METADATA_KEY = "x-teleglas-principal"


class Principal(msgspec.Struct, frozen=True):
    """One caller of one tenant, with what it may do. `expires_at` is in s UTC."""

    tenant_id: str
    principal_id: str
    scopes: tuple[str, ...] = ()
    expires_at: int = 0


class PrincipalError(Exception):
    """Not a statement that we signed, or one that is over."""


class Signer:
    """Makes and reads tokens. The first key signs, every key verifies."""

    def __init__(self, keys: Sequence[bytes], clock: Clock, lifetime_s: int = 60) -> None:
        if not keys or any(len(key) < 16 for key in keys):
            raise ValueError("expected at least one key of 16 bytes or more")
        self._keys = tuple(keys)
        self._clock = clock
        self._lifetime_s = lifetime_s

    def sign(self, principal: Principal) -> str:
        """A token that holds for the lifetime of this signer's tokens."""
        over = self._clock.now_ns() // 1_000_000_000 + self._lifetime_s
        payload = msgspec.json.encode(msgspec.structs.replace(principal, expires_at=over))
        return f"{_text(payload)}.{_text(self._mac(self._keys[0], payload))}"

    def verify(self, token: str) -> Principal:
        """The principal of a token; PrincipalError if it is forged, damaged or over."""
        body, _, mac = token.partition(".")
        try:
            payload, given = _bytes(body), _bytes(mac)
        except (binascii.Error, ValueError):
            raise PrincipalError("expected a signed principal, was damaged") from None
        if not any(hmac.compare_digest(self._mac(key, payload), given) for key in self._keys):
            raise PrincipalError("expected a principal signed with a known key")
        found = msgspec.json.decode(payload, type=Principal)
        if found.expires_at <= self._clock.now_ns() // 1_000_000_000:
            raise PrincipalError("expected a principal that still holds, was over")
        return found

    @staticmethod
    def _mac(key: bytes, payload: bytes) -> bytes:
        return hmac.digest(key, payload, hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
