"""Whom a request or a connection acts for: keys, cached for moments, and tickets."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from teleglas_gateway.domain.keys import Grant, KeyRecord, matches, prefix_of
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.ports import Keys, Tickets

__all__ = ["KeyAccess"]

CACHE_KEYS = 10_000
FRESH_S = 5.0
"""A revoked key works at most this much longer."""
STALE_S = 300.0
"""While the key store is away, keys that were good this recently still are."""


@dataclass(frozen=True, slots=True)
class _Cached:
    record: KeyRecord | None
    read_s: float


class KeyAccess:
    """Checks keys against their store. Unknown prefixes are remembered too, so that guessing is
    cheap to refuse.
    """

    def __init__(
        self,
        keys: Keys,
        tickets: Tickets,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._tickets = tickets
        self._monotonic_s = monotonic_s
        self._now = now
        self._cache: OrderedDict[str, _Cached] = OrderedDict()

    async def by_header(self, authorization: str) -> Grant:
        kind, _, key = authorization.strip().partition(" ")
        if kind.lower() != "bearer" or not key:
            raise Problem(Code.UNAUTHENTICATED, "expected Authorization: Bearer <key>")
        return await self.by_key(key.strip())

    async def by_key(self, key: str) -> Grant:
        prefix = prefix_of(key)
        record = None if prefix is None else await self._find(prefix)
        if record is None or not matches(key, record.digest):
            raise Problem(Code.UNAUTHENTICATED, "expected a key that this service has issued")
        if record.revoked_at is not None:
            raise Problem(Code.KEY_REVOKED, f"key {record.prefix} was revoked")
        if record.expires_at is not None and record.expires_at <= self._now():
            raise Problem(Code.KEY_EXPIRED, f"key {record.prefix} expired {record.expires_at}")
        return record.grant()

    async def by_ticket(self, ticket: str) -> Grant | None:
        return await self._tickets.redeem(ticket)

    async def _find(self, prefix: str) -> KeyRecord | None:
        now_s = self._monotonic_s()
        cached = self._cache.get(prefix)
        if cached is not None and now_s - cached.read_s < FRESH_S:
            return cached.record
        try:
            record = await self._keys.find(prefix)
        except Problem:
            if cached is not None and cached.record and now_s - cached.read_s < STALE_S:
                return cached.record
            raise
        self._cache[prefix] = _Cached(record, now_s)
        self._cache.move_to_end(prefix)
        if len(self._cache) > CACHE_KEYS:
            self._cache.popitem(last=False)
        return record
