"""History from a read replica that is at most so far behind, else from the primary.

How far it is behind is measured against the primary: a position of its log, remembered with the
time at which it was asked for, that the replica has replayed. A replica's own clock says nothing
when nothing is written, and nothing true when it is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import asyncpg

__all__ = ["ReplicaReads", "Rows"]

T = TypeVar("T")
_KEPT = 100
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.SerializationError,
)
"""A replica also gives up a statement whose rows the primary has since removed, as a serialization
error; a connection that is cut while it is opened or reset ends in an error of asyncpg's own state.
"""
_WRITTEN = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
_REPLAYED = (
    "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint WHERE pg_is_in_recovery()"
)
_log = logging.getLogger(__name__)


class Rows(Protocol):
    """What reads need of a pool."""

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...

    async def fetchrow(self, query: str, *args: Any) -> Any: ...

    async def fetchval(self, query: str, *args: Any) -> Any: ...


class ReplicaReads:
    """Rows of the replica or the primary. `run` measures until it is cancelled."""

    def __init__(
        self,
        primary: Rows,
        replica: Rows,
        *,
        max_lag_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._max_lag_s = max_lag_s
        self._monotonic_s = monotonic_s
        self._written: deque[tuple[float, int]] = deque(maxlen=_KEPT)
        self._fresh_at_s = float("-inf")
        self._was_used = False

    @property
    def lag_s(self) -> float:
        """The replica holds everything that was committed so long ago; infinite when unknown."""
        return self._monotonic_s() - self._fresh_at_s

    async def run(self) -> None:
        while True:
            await self.measure()
            await asyncio.sleep(min(1.0, self._max_lag_s / 5))

    async def measure(self) -> None:
        """Compare the two logs once; what does not answer leaves the lag growing."""
        asked_s = self._monotonic_s()
        with contextlib.suppress(*_AWAY):
            self._written.append((asked_s, await self._primary.fetchval(_WRITTEN)))
        with contextlib.suppress(*_AWAY):
            replayed = await self._replica.fetchval(_REPLAYED)
            while replayed is not None and self._written and self._written[0][1] <= replayed:
                self._fresh_at_s, _ = self._written.popleft()
        used = self.lag_s <= self._max_lag_s
        if used != self._was_used:
            _log.warning("history is read from the %s", "replica" if used else "primary")
            self._was_used = used

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        return await self._ask(lambda rows: rows.fetch(query, *args))

    async def fetchrow(self, query: str, *args: Any) -> Any:
        return await self._ask(lambda rows: rows.fetchrow(query, *args))

    async def fetchval(self, query: str, *args: Any) -> Any:
        return await self._ask(lambda rows: rows.fetchval(query, *args))

    async def _ask(self, read: Callable[[Rows], Awaitable[T]]) -> T:
        if self.lag_s <= self._max_lag_s:
            try:
                return await read(self._replica)
            except _AWAY as error:
                self._fresh_at_s = float("-inf")
                _log.warning("the replica did not answer, the primary is asked: %r", error)
        return await read(self._primary)
