"""A shard's state, offsets and outbox in PostgreSQL: one transaction a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg

from teleglas_common.checkpoints import Checkpoints
from teleglas_common.clock import Clock
from teleglas_notification.domain.cards import dump_card
from teleglas_notification.ports import SCHEMA, Checkpoint, OutboxCard, Restored

__all__ = ["QUEUED", "PostgresStore"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

QUEUED = 1
"""teleglas.notification.v1.DeliveryStatus.DELIVERY_STATUS_QUEUED"""


class PostgresStore:
    """What a checkpoint wants to be told stands in the outbox exactly when its offsets do."""

    def __init__(self, pool: asyncpg.Pool[Any], clock: Clock, edit_gap_ns: int) -> None:
        self._pool = pool
        self._checkpoints = Checkpoints(SCHEMA)
        self._clock = clock
        self._edit_gap_ns = edit_gap_ns

    async def restore(self, shard: int) -> Restored:
        """Load the last checkpoint and fence out whoever owned the shard before."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._checkpoints.restore(connection, shard)

    async def save(self, checkpoint: Checkpoint) -> int:
        """States, offsets and outbox, or nothing of it; how many deliveries are new."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._checkpoints.save(connection, checkpoint)
            if checkpoint.dropped:
                await connection.execute(
                    "DELETE FROM notification.shard_states WHERE shard = $1 AND name = ANY($2)",
                    checkpoint.shard,
                    list(checkpoint.dropped),
                )
            return await self._tell(connection, checkpoint.cards) if checkpoint.cards else 0

    async def _tell(self, connection: Connection, cards: Sequence[OutboxCard]) -> int:
        await self._hold_chats(connection, cards)
        now_ns = self._clock.now_ns()
        touched: set[tuple[str, str, str]] = set()
        new = 0
        for one in cards:
            version = await connection.fetchval(
                "INSERT INTO notification.cards AS c VALUES ($1, 1, $2, $3, $4, $5)"
                " ON CONFLICT (event_id) DO UPDATE SET body = excluded.body, updated_ns = $5,"
                " version = c.version + 1 WHERE c.body <> excluded.body RETURNING version",
                one.card.event_id,
                one.card.ts_event,
                dump_card(one.card),
                one.traceparent,
                now_ns,
            )
            inserted = await self._deliver(connection, one, now_ns)
            new += len(inserted)
            touched |= inserted
            if version is not None and version > 1:
                touched |= await self._outdate(connection, one.card.event_id, now_ns)
        await connection.executemany(
            "INSERT INTO notification.chats AS c (tenant_id, subscriber_id, channel, due_ns)"
            " VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, subscriber_id) DO UPDATE"
            " SET due_ns = LEAST(c.due_ns, excluded.due_ns)",
            [(*who, now_ns) for who in sorted(touched)],
        )
        return new

    async def _hold_chats(self, connection: Connection, cards: Sequence[OutboxCard]) -> None:
        """Until the end, nobody makes a message of these events for a chat that had or gets one.

        A message that is made meanwhile would say the words of before, and `_outdate` would not see
        it. All chats at once and in one order, as `Outbox` holds a chat before anything else.
        """
        rules = [wanted.rule for one in cards for wanted in one.wanted]
        await connection.execute(
            "SELECT FROM notification.chats WHERE (tenant_id, subscriber_id) IN"
            " (SELECT tenant_id, subscriber_id FROM notification.deliveries"
            " WHERE event_id = ANY($1) UNION SELECT * FROM unnest($2::text[], $3::text[]))"
            " ORDER BY tenant_id, subscriber_id FOR UPDATE",
            [one.card.event_id for one in cards],
            [rule.tenant_id for rule in rules],
            [rule.subscriber_id for rule in rules],
        )

    async def _deliver(
        self, connection: Connection, one: OutboxCard, now_ns: int
    ) -> set[tuple[str, str, str]]:
        """A delivery for each that asked and has none of this event yet."""
        event_id = one.card.event_id
        if not one.wanted:
            return set()
        rules = [wanted.rule for wanted in one.wanted]
        rows = await connection.fetch(
            "INSERT INTO notification.deliveries (id, tenant_id, subscriber_id, rule_id, event_id,"
            " channel, status, ts_event, created_ns)"
            " SELECT t || ':' || s || ':' || r || ':' || $5, t, s, r, $5, c, $6, $7, $8"
            " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS w (t, s, r, c)"
            " ON CONFLICT (tenant_id, subscriber_id, event_id) DO NOTHING"
            " RETURNING tenant_id, subscriber_id, channel",
            [rule.tenant_id for rule in rules],
            [rule.subscriber_id for rule in rules],
            [rule.id for rule in rules],
            [wanted.channel for wanted in one.wanted],
            event_id,
            QUEUED,
            one.card.ts_event,
            now_ns,
        )
        return {(row["tenant_id"], row["subscriber_id"], row["channel"]) for row in rows}

    async def _outdate(
        self, connection: Connection, event_id: str, now_ns: int
    ) -> set[tuple[str, str, str]]:
        """Messages of their own about the event shall be edited; summaries stay as they are."""
        rows = await connection.fetch(
            "UPDATE notification.messages AS m SET wanted = m.wanted + 1,"
            " due_ns = CASE WHEN m.sent = 0 THEN m.due_ns ELSE GREATEST(m.due_ns, $2) END"
            " FROM notification.subscribers AS s WHERE m.event_id = $1 AND m.kind = 'alert'"
            " AND m.status <> 'failed' AND s.tenant_id = m.tenant_id AND s.id = m.subscriber_id"
            " RETURNING m.tenant_id, m.subscriber_id, s.channel",
            event_id,
            now_ns + self._edit_gap_ns,
        )
        return {(row["tenant_id"], row["subscriber_id"], row["channel"]) for row in rows}
