"""Drops what was told long ago."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg

from teleglas_common.clock import Clock

__all__ = ["Cleaner"]

DAY_NS = 86_400_000_000_000
CLEAN_EVERY_S = 3_600.0
BATCH = 5_000
DELIVERIES = (
    "DELETE FROM notification.deliveries WHERE id IN (SELECT id FROM notification.deliveries"
    " WHERE created_ns < $1 AND reported >= revision AND status NOT IN (1, 4) LIMIT $2)"
)
MESSAGES = (
    "DELETE FROM notification.messages WHERE id IN (SELECT id FROM notification.messages"
    " WHERE created_ns < $1 AND (sent >= wanted OR status = 'failed') LIMIT $2)"
)
CARDS = (
    "DELETE FROM notification.cards WHERE event_id IN (SELECT c.event_id FROM notification.cards AS"
    " c WHERE c.updated_ns < $1 AND NOT EXISTS (SELECT FROM notification.deliveries AS d"
    " WHERE d.event_id = c.event_id) LIMIT $2)"
)


class Cleaner:
    """Deliveries that are over and reported, their messages, then cards that nobody was told of."""

    def __init__(self, clock: Clock, keep_days: int) -> None:
        self._clock = clock
        self._keep_ns = keep_days * DAY_NS

    async def run(self, pool: asyncpg.Pool[Any], stopping: asyncio.Event) -> None:
        """Clean now and then until stopped."""
        while not stopping.is_set():
            await self.clean(pool)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), CLEAN_EVERY_S)

    async def clean(self, pool: asyncpg.Pool[Any]) -> None:
        """In batches, so that no statement takes long."""
        before_ns = self._clock.now_ns() - self._keep_ns
        for statement in (DELIVERIES, MESSAGES, CARDS):
            while await pool.execute(statement, before_ns, BATCH) == f"DELETE {BATCH}":
                pass
