"""Leases and tenures: who writes, and when not any more."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from teleglas_common.testing.eventually import eventually
from teleglas_ingest.owner import Owner, OwnerPolicy
from teleglas_ingest.ports import Lease

POLICY = OwnerPolicy(ttl_s=0.3, poll_every_s=0.02)


class Table:
    """Leases in memory with real expiry; `away` plays a database that does not answer."""

    def __init__(self) -> None:
        self.owner, self.epoch, self.expires_s = "", 0, 0.0
        self.away = False

    async def acquire(self, venue: str, shard: int, owner: str) -> Lease | None:
        self._reach()
        now_s = time.monotonic()
        if self.owner not in ("", owner) and now_s < self.expires_s:
            return None
        self.owner, self.epoch, self.expires_s = owner, self.epoch + 1, now_s + POLICY.ttl_s
        return Lease(venue, shard, owner, self.epoch)

    async def renew(self, lease: Lease) -> bool:
        self._reach()
        if lease.epoch != self.epoch or time.monotonic() > self.expires_s:
            return False
        self.expires_s = time.monotonic() + POLICY.ttl_s
        return True

    async def release(self, lease: Lease) -> None:
        self._reach()
        if lease.epoch == self.epoch:
            self.owner, self.expires_s = "", 0.0

    def _reach(self) -> None:
        if self.away:
            raise OSError("away")


class Work:
    """A tenure that notes what happens to it."""

    def __init__(self, log: list[str], name: str, epoch: int) -> None:
        self.log, self.name, self.epoch = log, name, epoch

    async def run(self) -> None:
        self.log.append(f"{self.name} runs {self.epoch}")
        await asyncio.Event().wait()

    async def leave(self) -> None:
        self.log.append(f"{self.name} leaves {self.epoch}")

    @property
    def trouble(self) -> str | None:
        return None

    def fence(self) -> None:
        self.log.append(f"{self.name} fenced {self.epoch}")


class Spare:
    """A reserve that only notes that it took over."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name
        self.is_finished = False
        self.is_broken = False

    async def take_over(self, lease: Lease) -> Work:
        if self.is_broken:
            raise RuntimeError("no tails")
        self.log.append(f"{self.name} takes over {lease.epoch}")
        return Work(self.log, self.name, lease.epoch)

    async def close(self) -> None:
        self.log.append(f"{self.name} is dismissed")


@asynccontextmanager
async def owner(
    table: Table, name: str, log: list[str], spares: list[Spare] | None = None
) -> AsyncIterator[Owner]:
    async def begin(lease: Lease) -> Work:
        return Work(log, name, lease.epoch)

    async def stand_by() -> Spare:
        log.append(f"{name} stands by")
        spare = Spare(log, name)
        if spares is not None:
            spares.append(spare)
        return spare

    one = Owner("v", 0, name, table, begin, stand_by, policy=POLICY, monotonic_s=time.monotonic)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        one.stop()
        await asyncio.wait_for(task, 5)


async def test_a_hand_over_ends_one_tenure_before_the_next_begins() -> None:
    """The leaving owner publishes its last words, then the other takes a higher epoch."""
    table, log = Table(), list[str]()
    async with owner(table, "a", log) as first:
        await eventually(lambda: "a runs 1" in log)
        async with owner(table, "b", log) as second:
            await eventually(lambda: second.is_standing_by)
            first.stop()
            await eventually(lambda: "b runs 2" in log)
    order = ["b stands by", "a leaves 1", "b takes over 2", "b runs 2"]
    assert [entry for entry in log if entry in order] == order
    assert "a fenced 1" not in log


async def test_an_owner_whose_lease_was_taken_is_fenced() -> None:
    """It writes nothing more and contends again."""
    table, log = Table(), list[str]()
    async with owner(table, "a", log):
        await eventually(lambda: "a runs 1" in log)
        table.owner, table.epoch = "z", 7
        table.expires_s = time.monotonic() + 0.2
        await eventually(lambda: "a fenced 1" in log)
        await eventually(lambda: "a runs 8" in log)
    assert "a leaves 1" not in log


async def test_an_owner_that_cannot_renew_stops_before_the_lease_ends() -> None:
    """A database that is away costs the shard, not its exclusiveness."""
    table, log = Table(), list[str]()
    async with owner(table, "a", log):
        await eventually(lambda: "a runs 1" in log)
        table.away = True
        await eventually(lambda: "a fenced 1" in log)
        assert time.monotonic() <= table.expires_s
        table.away = False
        await eventually(lambda: "a runs 2" in log)


async def test_a_tenure_that_ends_by_itself_is_begun_anew() -> None:
    """A changed instrument restarts the feeds under a new epoch."""
    table, log = Table(), list[str]()

    class Short(Work):
        async def run(self) -> None:
            self.log.append(f"runs {self.epoch}")

    async def begin(lease: Lease) -> Work:
        return Short(log, "s", lease.epoch)

    async def stand_by() -> Spare:
        return Spare(log, "s")

    one = Owner("v", 0, "s", table, begin, stand_by, policy=POLICY, monotonic_s=time.monotonic)
    task = asyncio.create_task(one.run())
    await eventually(lambda: "runs 2" in log)
    one.stop()
    await asyncio.wait_for(task, 5)
    assert log[:3] == ["runs 1", "s leaves 1", "runs 2"]


async def test_a_reserve_that_is_not_needed_is_dismissed() -> None:
    """A process that ends while it stands by leaves nothing running."""
    table, log = Table(), list[str]()
    async with owner(table, "a", log):
        await eventually(lambda: "a runs 1" in log)
        async with owner(table, "b", log) as second:
            await eventually(lambda: second.is_standing_by)
    assert "b is dismissed" in log
    assert not [entry for entry in log if entry.startswith("b runs")]


async def test_a_reserve_that_ended_is_replaced() -> None:
    """The next one stands by before it is needed."""
    table, log, spares = Table(), list[str](), list[Spare]()
    async with owner(table, "a", log):
        await eventually(lambda: "a runs 1" in log)
        async with owner(table, "b", log, spares) as second:
            await eventually(lambda: second.is_standing_by)
            spares[0].is_finished = True
            assert not second.is_standing_by
            await eventually(lambda: len(spares) == 2 and second.is_standing_by)
    assert log.count("b is dismissed") == 2


async def test_a_reserve_that_fails_to_take_over_costs_time_only() -> None:
    """The shard is begun anew under the same lease."""
    table, log, spares = Table(), list[str](), list[Spare]()
    async with owner(table, "a", log) as first:
        await eventually(lambda: "a runs 1" in log)
        async with owner(table, "b", log, spares) as second:
            await eventually(lambda: second.is_standing_by)
            spares[0].is_broken = True
            first.stop()
            await eventually(lambda: "b runs 2" in log)
    assert "b is dismissed" in log
