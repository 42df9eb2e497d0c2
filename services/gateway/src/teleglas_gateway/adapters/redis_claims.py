"""Which pod does what only one of them should, in Redis."""

from __future__ import annotations

import asyncio
import secrets

import structlog
from redis.exceptions import RedisError

from teleglas_common.redis import Cache

__all__ = ["RedisClaims"]

_LOG = structlog.get_logger(__name__)
_PREFIX = "gateway:claim:"
CLAIM_S = 30
"""A pod that dies between its claim and its work holds it so long."""
KEEP_S = 86_400
"""A pod that starts reads poison again that was buried long ago: this is how long that is known."""


class RedisClaims:
    """While Redis does not answer within `timeout_s` every pod has every claim."""

    def __init__(self, redis: Cache, *, timeout_s: float) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._owner = secrets.token_hex(8).encode()

    async def take(self, name: str) -> bool:
        """Whether this pod has the claim, also from before."""
        try:
            async with asyncio.timeout(self._timeout_s):
                if await self._redis.set(_PREFIX + name, self._owner, nx=True, ex=CLAIM_S):
                    return True
                return bool(await self._redis.get(_PREFIX + name) == self._owner)
        except (RedisError, OSError, TimeoutError) as error:
            _LOG.warning("claim_unshared", name=name, error=repr(error))
            return True

    async def keep(self, name: str) -> None:
        """What was claimed is done: nobody need do it again."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._redis.set(_PREFIX + name, b"done", ex=KEEP_S)
        except (RedisError, OSError, TimeoutError) as error:
            _LOG.warning("claim_not_kept", name=name, error=repr(error))
