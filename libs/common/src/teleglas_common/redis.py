"""The cache: a client with bounded waits and retries."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from teleglas_common.settings import RedisSection

__all__ = ["create_redis"]


MAX_CONNECTIONS = 32
"""Of one process; who finds all of them busy waits as long as for an answer."""


def create_redis(section: RedisSection) -> Redis:
    """A client that answers or fails within a few timeouts, and reconnects by itself."""
    pool = BlockingConnectionPool.from_url(
        section.url.get_secret_value(),
        max_connections=MAX_CONNECTIONS,
        timeout=section.timeout_s,
        socket_timeout=section.timeout_s,
        socket_connect_timeout=section.timeout_s,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=2),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )
    return Redis.from_pool(pool)
