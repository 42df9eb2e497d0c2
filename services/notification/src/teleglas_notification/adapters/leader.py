"""Work that one replica does at a time."""

from __future__ import annotations

from typing import Any

import asyncpg

from teleglas_common.clock import Clock

__all__ = ["Leader"]

SECOND_NS = 1_000_000_000


class Leader:
    """A lease by name; whoever holds it extends it, others get it once it is over."""

    def __init__(
        self, pool: asyncpg.Pool[Any], clock: Clock, name: str, owner: str, lease_s: float
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._name = name
        self._owner = owner
        self._lease_ns = round(lease_s * SECOND_NS)

    async def holds(self) -> bool:
        """Whether the work is ours for the length of a lease from now on."""
        now_ns = self._clock.now_ns()
        done = await self._pool.execute(
            "INSERT INTO notification.leases AS l VALUES ($1, $2, $3) ON CONFLICT (name)"
            " DO UPDATE SET owner = $2, until_ns = $3 WHERE l.owner = $2 OR l.until_ns < $4",
            self._name,
            self._owner,
            now_ns + self._lease_ns,
            now_ns,
        )
        return bool(done == "INSERT 0 1")

    async def let_go(self) -> None:
        await self._pool.execute(
            "DELETE FROM notification.leases WHERE name = $1 AND owner = $2",
            self._name,
            self._owner,
        )
