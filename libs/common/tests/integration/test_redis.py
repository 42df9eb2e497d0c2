import asyncio
from typing import Any

import pytest
from pydantic import SecretStr
from redis.exceptions import RedisError

from teleglas_common.redis import MAX_CONNECTIONS, create_redis
from teleglas_common.settings import RedisSection

pytestmark = pytest.mark.integration


async def test_many_callers_share_few_connections(stack: Any) -> None:
    """A burst waits for a free connection instead of opening one each."""
    client = create_redis(RedisSection(url=SecretStr(stack.redis_url)))
    try:
        await asyncio.gather(*(client.incr("callers") for _ in range(10 * MAX_CONNECTIONS)))
        assert await client.get("callers") == str(10 * MAX_CONNECTIONS).encode()
        names = [client["name"] for client in await client.client_list()]
        assert len(names) <= MAX_CONNECTIONS + 1
    finally:
        await client.delete("callers")
        await client.aclose()


async def test_a_cache_that_is_away_fails_soon() -> None:
    """Callers hear of it within a few timeouts."""
    client = create_redis(RedisSection(url=SecretStr("redis://127.0.0.1:9"), timeout_s=0.2))
    async with asyncio.timeout(5):
        with pytest.raises(RedisError):
            await client.get("x")
    await client.aclose()
