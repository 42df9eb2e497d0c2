"""One-use tickets in Redis: what is stored is the ticket's hash, and reading it removes it."""

from __future__ import annotations

import hashlib
import secrets

import msgspec
from redis.exceptions import RedisError

from teleglas_common.redis import Cache
from teleglas_gateway.domain.keys import Grant
from teleglas_gateway.domain.problems import Code, Problem

__all__ = ["RedisTickets"]

_PREFIX = "gateway:ticket:"


class RedisTickets:
    """Raises `auth_unavailable` while Redis does not answer."""

    def __init__(self, redis: Cache) -> None:
        self._redis = redis

    async def issue(self, grant: Grant, ttl_s: int) -> str:
        ticket = secrets.token_urlsafe(32)
        try:
            await self._redis.set(_name(ticket), msgspec.json.encode(grant), ex=ttl_s)
        except (RedisError, OSError) as error:
            raise _away(error) from error
        return ticket

    async def redeem(self, ticket: str) -> Grant | None:
        try:
            stored = await self._redis.getdel(_name(ticket))
        except (RedisError, OSError) as error:
            raise _away(error) from error
        return None if stored is None else msgspec.json.decode(stored, type=Grant)


def _name(ticket: str) -> str:
    return _PREFIX + hashlib.sha256(ticket.encode()).hexdigest()


def _away(error: BaseException) -> Problem:
    return Problem(Code.AUTH_UNAVAILABLE, f"expected the ticket store to answer: {error!r}"[:200])
