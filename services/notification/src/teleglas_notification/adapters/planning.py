"""From what a subscriber shall be told of to messages: now, in this hour's summary, in a digest."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg

from teleglas_notification.domain.people import (
    HOUR_NS,
    Hold,
    Join,
    Say,
    Subscriber,
    Suppress,
    decide,
)

__all__ = ["HELD", "SUPPRESSED", "Planner"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

HELD, SUPPRESSED = 4, 6
"""Of teleglas.notification.v1.DeliveryStatus."""
MAX_PLANNED = 200
EDIT_GAP_NS = 3_000_000_000
"""A summary is edited at most this often."""


class Planner:
    """Works within the transaction that holds the subscriber's chat."""

    def __init__(self, connection: Connection, who: Subscriber, now_ns: int) -> None:
        self._connection = connection
        self._who = who
        self._now_ns = now_ns

    async def plan(self) -> None:
        """Give every new delivery a message, or say why it gets none."""
        rows = await self._connection.fetch(
            "SELECT id, event_id FROM notification.deliveries WHERE tenant_id = $1"
            " AND subscriber_id = $2 AND status = 1 AND message_id IS NULL"
            " ORDER BY seq LIMIT $3",
            self._who.tenant_id,
            self._who.id,
            MAX_PLANNED,
        )
        if not rows:
            return
        said = await self._said_this_hour()
        for row in rows:
            decision = decide(self._who, self._now_ns, said)
            said += isinstance(decision, Say)
            await self._carry_out(decision, row["id"], row["event_id"])

    async def _carry_out(self, decision: Any, delivery_id: str, event_id: str) -> None:
        prefix = f"{self._who.tenant_id}:{self._who.id}"
        match decision:
            case Say():
                await self._say(delivery_id, event_id)
            case Join(hour):
                message_id = f"{prefix}:burst:{hour}"
                await self._join(message_id, "burst", self._now_ns)
                await self._mark(delivery_id, HELD, "over the budget of the hour", message_id)
            case Hold(until_ns, reason):
                message_id = f"{prefix}:digest:{until_ns}"
                await self._join(message_id, "digest", until_ns)
                await self._mark(delivery_id, HELD, reason, message_id)
            case Suppress(reason):
                await self._mark(delivery_id, SUPPRESSED, reason, None)

    async def _said_this_hour(self) -> int:
        count = await self._connection.fetchval(
            "SELECT count(*) FROM notification.messages WHERE tenant_id = $1 AND subscriber_id = $2"
            " AND kind = 'alert' AND created_ns >= $3",
            self._who.tenant_id,
            self._who.id,
            self._now_ns - self._now_ns % HOUR_NS,
        )
        return int(count)

    async def _say(self, delivery_id: str, event_id: str) -> None:
        await self._connection.execute(
            "INSERT INTO notification.messages (id, tenant_id, subscriber_id, kind, event_id,"
            " due_ns, created_ns) VALUES ($1, $2, $3, 'alert', $4, $5, $5)"
            " ON CONFLICT (id) DO NOTHING",
            delivery_id,
            self._who.tenant_id,
            self._who.id,
            event_id,
            self._now_ns,
        )
        await self._connection.execute(
            "UPDATE notification.deliveries SET message_id = $1 WHERE id = $1", delivery_id
        )

    async def _join(self, message_id: str, kind: str, due_ns: int) -> None:
        """Make the summary, or let it be edited."""
        await self._connection.execute(
            "INSERT INTO notification.messages AS m (id, tenant_id, subscriber_id, kind, event_id,"
            " due_ns, created_ns) VALUES ($1, $2, $3, $4, '', $5, $6)"
            " ON CONFLICT (id) DO UPDATE SET wanted = m.wanted + 1,"
            " due_ns = CASE WHEN m.sent < m.wanted THEN m.due_ns"
            " ELSE GREATEST(m.due_ns, $5) + $7 END,"
            " status = CASE WHEN m.status = 'failed' THEN 'waiting' ELSE m.status END",
            message_id,
            self._who.tenant_id,
            self._who.id,
            kind,
            due_ns,
            self._now_ns,
            EDIT_GAP_NS,
        )

    async def _mark(
        self, delivery_id: str, status: int, reason: str, message_id: str | None
    ) -> None:
        await self._connection.execute(
            "UPDATE notification.deliveries SET status = $2, reason = $3, message_id = $4,"
            " revision = revision + 1 WHERE id = $1",
            delivery_id,
            status,
            reason,
            message_id,
        )
