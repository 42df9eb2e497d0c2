"""Who asks: a signed statement that services pass on in gRPC metadata.

Token: base64url(payload) "." base64url(HMAC-SHA256(payload)). Keys are tried in order, so that one
can be replaced while tokens of the other are still about.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from teleglas_common.clock import Clock, SystemClock

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = [
    "ANONYMOUS",
    "METADATA_KEY",
    "Authenticate",
    "Principal",
    "PrincipalError",
    "Signer",
    "authenticator",
    "signer_of",
]

METADATA_KEY = "x-teleglas-principal"


class Principal(msgspec.Struct, frozen=True):
    """One caller of one tenant, with what it may do. `expires_at` is in s UTC."""

    tenant_id: str
    principal_id: str
    scopes: tuple[str, ...] = ()
    expires_at: int = 0


ANONYMOUS = Principal("default", "anonymous")
"""Who calls a service that requires no principal, and gives none."""

Authenticate: TypeAlias = Callable[[Any], Principal]
"""The principal of a gRPC call by its context; PrincipalError if the call is refused."""


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
        try:
            found = msgspec.json.decode(payload, type=Principal)
        except msgspec.DecodeError:
            raise PrincipalError("expected a signed principal, was another statement") from None
        if found.expires_at <= self._clock.now_ns() // 1_000_000_000:
            raise PrincipalError("expected a principal that still holds, was over")
        return found

    @staticmethod
    def _mac(key: bytes, payload: bytes) -> bytes:
        return hmac.digest(key, payload, hashlib.sha256)


def signer_of(secret: SecretStr) -> Signer | None:
    """The signer of the configured secrets, of which the first signs; none where there is none."""
    keys = [key.encode() for key in secret.get_secret_value().split()]
    return Signer(keys, SystemClock()) if keys else None


def authenticator(signer: Signer | None, *, required: bool) -> Authenticate:
    """Reads a call's principal: a forged one is refused always, a missing one where principals are
    required. Without a signer nothing is looked at, and everybody is anonymous.
    """

    def authenticate(context: Any) -> Principal:
        if signer is None:
            return ANONYMOUS
        token = dict(context.invocation_metadata() or ()).get(METADATA_KEY)
        if token is not None:
            return signer.verify(token)
        if required:
            raise PrincipalError("expected a signed principal, found none")
        return ANONYMOUS

    return authenticate


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
