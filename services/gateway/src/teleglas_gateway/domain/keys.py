"""API keys: how they are written, what is stored of them, and whom they stand for."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = [
    "ADMIN_SCOPES",
    "ALPHABET",
    "Grant",
    "KeyRecord",
    "Scope",
    "digest",
    "matches",
    "mint",
    "parse_scopes",
    "prefix_of",
]

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX_CHARS = 8
_SECRET_CHARS = 40  # 62**40 is 238 bits: a plain SHA-256 of it cannot be searched
_SHAPE = re.compile(rf"tg_([0-9A-Za-z]{{{_PREFIX_CHARS}}})_[0-9A-Za-z]{{{_SECRET_CHARS}}}")


class Scope(StrEnum):
    """What a key may do."""

    MARKET_READ = "market:read"
    STREAM_READ = "stream:read"
    SIGNAL_READ = "signal:read"
    SIGNAL_ADMIN = "signal:admin"
    ALERT_READ = "alert:read"
    ALERT_WRITE = "alert:write"
    KEY_ADMIN = "key:admin"


ADMIN_SCOPES = frozenset((Scope.SIGNAL_ADMIN, Scope.KEY_ADMIN))
"""What `all` does not open: these change what everybody gets."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom a request acts for and what they may do; `key_id` names the key that proved it."""

    tenant_id: str
    principal_id: str
    key_id: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is stored of a key: never the key."""

    key_id: str
    prefix: str
    digest: bytes
    name: str
    tenant_id: str
    principal_id: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def grant(self) -> Grant:
        return Grant(self.tenant_id, self.principal_id, self.key_id, self.scopes)


def mint(choose: Callable[[str], str]) -> str:
    """A new key: `tg_<prefix>_<secret>`. `choose` draws one character from a secure source."""
    prefix = "".join(choose(ALPHABET) for _ in range(_PREFIX_CHARS))
    secret = "".join(choose(ALPHABET) for _ in range(_SECRET_CHARS))
    return f"tg_{prefix}_{secret}"


def prefix_of(key: str) -> str | None:
    """The part that is shown and looked up by; None if this was never a key of ours."""
    match = _SHAPE.fullmatch(key)
    return match.group(1) if match else None


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def matches(key: str, stored: bytes) -> bool:
    return hmac.compare_digest(digest(key), stored)


def parse_scopes(text: str) -> frozenset[str]:
    """Scopes from `market:read,stream:read`; `all` means every one but administration."""
    if text.strip() == "all":
        return frozenset(scope.value for scope in Scope if scope not in ADMIN_SCOPES)
    wanted = frozenset(part.strip() for part in text.split(",") if part.strip())
    unknown = wanted - {scope.value for scope in Scope}
    if unknown or not wanted:
        known = ", ".join(scope.value for scope in Scope)
        raise ValueError(f"expected scopes of {known}; was {text!r}")
    return wanted
