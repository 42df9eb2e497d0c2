"""Quotas over all pods in Redis; while Redis is away each pod counts for itself."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from teleglas_common.redis import Cache
from teleglas_gateway.domain.limits import Quota, Verdict, decide, verdict_of
from teleglas_gateway.ports import Limiter

__all__ = ["FallbackLimiter", "LocalLimiter", "RedisLimiter"]

_PREFIX = "gateway:limit:"
_LOG = structlog.get_logger(__name__)
_GCRA = """
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local interval_us = tonumber(ARGV[1])
local window_us = tonumber(ARGV[2])
local full_at_us = math.max(tonumber(redis.call('GET', KEYS[1]) or now_us), now_us)
local next_us = full_at_us + interval_us
if next_us - now_us > window_us then
    return {0, full_at_us - now_us}
end
redis.call('SET', KEYS[1], string.format('%.0f', next_us), 'PX', math.ceil(window_us / 1000) + 1000)
return {1, next_us - now_us}
"""
"""The same decision as `domain.limits.decide`, on Redis' own clock, in one step."""


class RedisLimiter:
    """One script call a request."""

    def __init__(self, redis: Cache) -> None:
        self._script = redis.register_script(_GCRA)

    async def take(self, client: str, quota: Quota) -> Verdict:
        interval_us = quota.interval_ns // 1000
        allowed, used_us = await self._script(
            keys=[f"{_PREFIX}{quota.name}:{client}"],
            args=[interval_us, interval_us * quota.requests],
        )
        return verdict_of(bool(allowed), int(used_us) * 1000, quota)


class LocalLimiter:
    """Counts in this process, for the clients seen last."""

    def __init__(
        self, *, max_clients: int = 50_000, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._max_clients = max_clients
        self._now_ns = now_ns
        self._full_at: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def take(self, client: str, quota: Quota) -> Verdict:
        key = (client, quota.name)
        full_at, verdict = decide(self._full_at.get(key), self._now_ns(), quota)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._max_clients:
            self._full_at.popitem(last=False)
        return verdict


class FallbackLimiter:
    """Asks the shared limiter, and the local one when that fails or is slow. After a failure the
    shared one is left alone for `rest_s`, so that an outage costs no request its time.
    """

    def __init__(
        self,
        shared: Limiter,
        local: Limiter,
        *,
        timeout_s: float,
        rest_s: float = 1.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._local = local
        self._timeout_s = timeout_s
        self._rest_s = rest_s
        self._monotonic_s = monotonic_s
        self._resting_until_s = 0.0
        self.fallbacks = 0

    async def take(self, client: str, quota: Quota) -> Verdict:
        if self._monotonic_s() >= self._resting_until_s:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._shared.take(client, quota)
            except (RedisError, OSError, TimeoutError) as error:
                self._resting_until_s = self._monotonic_s() + self._rest_s
                _LOG.warning("limiter_is_local", cause=repr(error))
        self.fallbacks += 1
        return await self._local.take(client, quota)
