"""The cache: a client with bounded waits and retries, of one server, of a cluster, or of whichever
server the sentinels name.
"""

from __future__ import annotations

from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from teleglas_common.settings import RedisSection

__all__ = ["Cache", "create_redis"]

Cache: TypeAlias = Redis | RedisCluster
"""Every command that we give names one key, or keys of one slot."""

MAX_CONNECTIONS = 32
"""Of one process; who finds all of them busy waits as long as for an answer."""


def create_redis(section: RedisSection) -> Cache:
    """A client that answers or fails within a few timeouts, and reconnects by itself."""
    url = section.url.get_secret_value()
    options = _options(section) | _tls(section, url)
    match section.mode:
        case "cluster":
            return RedisCluster.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                retry=_retry(),
                **{name: value for name, value in options.items() if not name.startswith("retry")},
            )
        case "sentinel":
            return _by_sentinels(section, url, options)
        case "single":
            pool = BlockingConnectionPool.from_url(
                url, max_connections=MAX_CONNECTIONS, timeout=section.timeout_s, **options
            )
            return Redis.from_pool(pool)


def _by_sentinels(section: RedisSection, url: str, options: dict[str, Any]) -> Redis:
    """The master of the set that the URL names in place of a host; asked again when it moves."""
    parts = urlsplit(url)
    places = [place.strip().rpartition(":") for place in section.sentinels.split(",")]
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    if parts.scheme == "rediss":
        tls["ssl"] = True
    sentinel = Sentinel(
        [(host, int(port)) for host, _, port in places],
        sentinel_kwargs={
            "password": section.sentinel_password.get_secret_value() or None,
            "socket_timeout": section.timeout_s,
            "socket_connect_timeout": section.timeout_s,
            **tls,
        },
    )
    pool = SentinelConnectionPool(
        parts.hostname or "",
        sentinel,
        max_connections=MAX_CONNECTIONS,
        username=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        db=int(parts.path.strip("/") or 0),
        **(options | tls),
    )
    return Redis.from_pool(pool)


def _options(section: RedisSection) -> dict[str, Any]:
    return {
        "socket_timeout": section.timeout_s,
        "socket_connect_timeout": section.timeout_s,
        "health_check_interval": 15,
        "retry": _retry(),
        "retry_on_error": [RedisConnectionError, RedisTimeoutError, ReadOnlyError],
    }


def _retry() -> Retry:
    return Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=2)


def _tls(section: RedisSection, url: str) -> dict[str, Any]:
    """The server is verified by name wherever the URL asks for TLS."""
    if not url.startswith("rediss://"):
        return {}
    files = {
        "ssl_ca_certs": section.ssl_ca_file,
        "ssl_certfile": section.ssl_cert_file,
        "ssl_keyfile": section.ssl_key_file,
    }
    named = {name: str(path) for name, path in files.items() if path is not None}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **named}
