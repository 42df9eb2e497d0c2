"""Keys, tickets and quotas in the real database and cache."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from pydantic import SecretStr

from teleglas_common.redis import create_redis
from teleglas_common.settings import RedisSection
from teleglas_gateway.access import KeyAccess
from teleglas_gateway.adapters.limiters import FallbackLimiter, LocalLimiter, RedisLimiter
from teleglas_gateway.adapters.redis_claims import RedisClaims
from teleglas_gateway.adapters.redis_tickets import RedisTickets
from teleglas_gateway.domain.limits import Quota
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.keys import create_key, key_store, list_keys, revoke_key
from teleglas_gateway.testing import GRANT, MemoryTickets

pytestmark = pytest.mark.integration


@pytest.fixture
async def redis(stack):
    client = create_redis(RedisSection(url=SecretStr(stack.redis_url)))
    yield client
    await client.aclose()


async def test_a_key_is_found_by_prefix_until_it_is_revoked(database_dsn):
    """What is stored opens the door to the key alone; a revoked one is told so."""
    async with key_store(database_dsn) as keys:
        made = await create_key(keys, name="demo", scopes="market:read", days=1)
        access = KeyAccess(keys, MemoryTickets())
        assert (await access.by_key(made.key)).scopes == {"market:read"}
        forged = made.key[:-1] + ("a" if made.key[-1] != "a" else "b")
        with pytest.raises(Problem) as refused:
            await access.by_key(forged)
        assert refused.value.code is Code.UNAUTHENTICATED
        assert [record.prefix for record in await list_keys(keys)] == [made.record.prefix]
        assert await keys.dead([made.record.key_id]) == set()
        assert not await revoke_key(keys, made.record.prefix, "another-tenant")
        assert await revoke_key(keys, made.record.prefix)
        assert not await revoke_key(keys, made.record.prefix)
        assert await keys.dead([made.record.key_id]) == {made.record.key_id}
        with pytest.raises(Problem) as refused:
            await KeyAccess(keys, MemoryTickets()).by_key(made.key)
        assert refused.value.code is Code.KEY_REVOKED


async def test_a_key_of_somebody_elses_making_is_stored_once(database_dsn):
    """Storing it again changes nothing; what does not look like a key is refused."""
    drawn = f"tg_{'a' * 8}_{'b' * 40}"
    async with key_store(database_dsn) as keys:
        first = await create_key(keys, name="demo", key=drawn)
        again = await create_key(keys, name="demo", key=drawn)
        assert again.record.key_id == first.record.key_id
        assert (await KeyAccess(keys, MemoryTickets()).by_key(drawn)).principal_id == "demo"
        with pytest.raises(ValueError, match="expected a key of the form"):
            await create_key(keys, name="demo", key="hunter2")


async def test_a_ticket_is_redeemed_once_even_at_the_same_time(redis):
    """Of ten that try at once, one gets in."""
    tickets = RedisTickets(redis)
    ticket = await tickets.issue(GRANT, ttl_s=5)
    answers = await asyncio.gather(*(tickets.redeem(ticket) for _ in range(10)))
    assert [answer for answer in answers if answer] == [GRANT]
    assert await tickets.redeem("forged") is None


async def test_the_shared_quota_admits_exactly_its_burst(redis, unique_name):
    """Requests at the same time, over two pods, share one bucket."""
    quota, client = Quota(unique_name("q"), 20, 3600), unique_name("client")
    pods = [RedisLimiter(redis), RedisLimiter(redis)]
    verdicts = await asyncio.gather(*(pods[n % 2].take(client, quota) for n in range(50)))
    assert sum(verdict.allowed for verdict in verdicts) == 20
    assert min(verdict.remaining for verdict in verdicts) == 0
    assert all(v.retry_after_s > 0 for v in verdicts if not v.allowed)


async def test_without_redis_each_pod_counts_for_itself(unique_name):
    """An outage of Redis opens no floodgate and closes no door."""
    away = create_redis(RedisSection(url=SecretStr("redis://127.0.0.1:9"), timeout_s=0.2))
    limiter = FallbackLimiter(RedisLimiter(away), LocalLimiter(), timeout_s=0.05)
    quota = Quota("q", 3, 3600)
    verdicts = [await limiter.take(unique_name("c")[:1], quota) for _ in range(5)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert limiter.fallbacks == 5
    await away.aclose()


async def test_one_pod_has_a_claim_until_what_it_claimed_is_done(redis):
    """The pod that took it may take it again, another may not; once done nobody may."""
    name = f"test:{secrets.token_hex(8)}"
    first, second = RedisClaims(redis, timeout_s=5), RedisClaims(redis, timeout_s=5)
    assert await first.take(name)
    assert await first.take(name)
    assert not await second.take(name)
    await first.keep(name)
    assert not await first.take(name)


async def test_without_redis_every_pod_has_the_claim():
    """A store that does not answer stops nothing."""
    away = create_redis(RedisSection(url=SecretStr("redis://127.0.0.1:1/0")))
    assert await RedisClaims(away, timeout_s=0.2).take("test")
    await away.aclose()
