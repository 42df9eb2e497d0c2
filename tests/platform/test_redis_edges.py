"""The cache as a cluster and behind sentinels; real Valkey in each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from pydantic import SecretStr, ValidationError
from redis.exceptions import RedisError

from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_common.redis import create_redis
from teleglas_common.settings import RedisSection
from teleglas_common.testing import eventually
from tests.support.cache import AUTH, PASSWORD, started, use_everything

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
SLOTS = 16_384


@pytest.fixture
async def servers() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_a_cluster_of_three_takes_everything(servers: AsyncExitStack, tmp_path: Path) -> None:
    """Keys lie on all three nodes; no command names two that need not lie together."""
    ports, bus_ports = free_ports(3), free_ports(3)
    clients = []
    for number, port in enumerate(ports):
        lines = ("cluster-enabled yes", f"cluster-port {bus_ports[number]}", *AUTH)
        await started(servers, tmp_path / f"node{number}", port, *lines)
        clients.append(redis.asyncio.Redis(port=port, password=PASSWORD))
        first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
        await clients[number].execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        if number:
            meet = ("CLUSTER", "MEET", LOOPBACK, ports[0], bus_ports[0])
            await clients[number].execute_command(*meet)

    async def assert_whole() -> None:
        for client in clients:
            info: Any = await client.execute_command("CLUSTER", "INFO")
            assert b"cluster_state:ok" in info

    await eventually(assert_whole, timeout_s=30)
    url = SecretStr(f"redis://:{PASSWORD}@{LOOPBACK}:{ports[1]}/0")
    cache = create_redis(RedisSection(url=url, mode="cluster"))
    await use_everything(cache)
    held = [await client.dbsize() for client in clients]
    assert all(held), held
    await cache.aclose()
    for client in clients:
        await client.aclose()


async def test_sentinels_name_the_master_that_is_left(
    servers: AsyncExitStack, tmp_path: Path
) -> None:
    """The master dies; within seconds the same client writes to the replica that took over."""
    master_port, replica_port, *sentinel_ports = free_ports(5)
    master = await started(servers, tmp_path / "master", master_port, *AUTH)
    await started(
        servers, tmp_path / "replica", replica_port, *AUTH, f"replicaof {LOOPBACK} {master_port}"
    )
    for port in sentinel_ports:
        await started(
            servers,
            tmp_path / f"sentinel{port}",
            port,
            f"sentinel monitor cache {LOOPBACK} {master_port} 2",
            f"sentinel auth-pass cache {PASSWORD}",
            "sentinel down-after-milliseconds cache 1000",
            "sentinel failover-timeout cache 5000",
            sentinel=True,
        )
    section = RedisSection(
        url=SecretStr(f"redis://:{PASSWORD}@cache/0"),
        mode="sentinel",
        sentinels=",".join(f"{LOOPBACK}:{port}" for port in sentinel_ports),
        timeout_s=1.0,
    )
    client = create_redis(section)

    async def assert_ready() -> None:
        assert await client.ping()
        info: Any = await client.info("replication")
        assert info["connected_slaves"] == 1

    await eventually(assert_ready, timeout_s=30)
    await use_everything(client)
    await client.set("before", b"kept")

    async def assert_copied() -> None:
        assert await client.wait(1, 300) == 1

    async def assert_seen() -> None:
        for port in sentinel_ports:
            watcher = redis.asyncio.Redis(port=port)
            seen: Any = await watcher.sentinel_master("cache")
            await watcher.aclose()
            assert (seen["num-slaves"], seen["num-other-sentinels"]) == (1, 2)

    await eventually(assert_copied, timeout_s=30)
    await eventually(assert_seen, timeout_s=30)
    await master.kill9()

    async def assert_writes() -> None:
        try:
            assert await client.set("after", b"written")
        except RedisError as error:
            raise AssertionError("expected the successor to be there") from error

    await eventually(assert_writes, timeout_s=60)
    assert await client.get("before") == b"kept"
    await client.aclose()


def test_sentinels_belong_to_their_mode() -> None:
    """A forgotten list is found before anything starts."""
    with pytest.raises(ValidationError, match="sentinels"):
        RedisSection(url=SecretStr("redis://cache/0"), mode="sentinel")
