"""The outbox in PostgreSQL: which call is next, and what became of it. One chat is served by one
replica at a time, in the order of its messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg

from teleglas_common.clock import Clock
from teleglas_notification.adapters.planning import HELD, SUPPRESSED, Planner
from teleglas_notification.adapters.rows import subscriber_of
from teleglas_notification.adapters.store import QUEUED
from teleglas_notification.domain.cards import load_card
from teleglas_notification.domain.people import Subscriber
from teleglas_notification.ports import Job, Outcome

__all__ = ["EDITED", "FAILED", "SENT", "Outbox"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

SENT, EDITED, FAILED = 2, 3, 5
"""Of teleglas.notification.v1.DeliveryStatus."""
SECOND_NS = 1_000_000_000
BURST = 3
"""Calls of a chat that has been quiet go out at once up to so many, then one each gap."""
MAX_CARDS = 500
MAX_REASON = 200


class Outbox:
    """`owner` is this replica. A lease outlives every call; when a replica dies, another one takes
    the chat once its lease is over, and knows by `in_flight` that a call may have gone out.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        clock: Clock,
        owner: str,
        *,
        lease_s: float,
        chat_gap_s: float,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._owner = owner
        self._lease_ns = round(lease_s * SECOND_NS)
        self._chat_gap_ns = round(chat_gap_s * SECOND_NS)

    async def take(self, channel: str) -> Job | None:
        """The next call of a chat that is due, None when none is. The chat is leased until
        `settle`.
        """
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                now_ns = self._clock.now_ns()
                chat = await connection.fetchrow(
                    "SELECT tenant_id, subscriber_id FROM notification.chats"
                    " WHERE channel = $1 AND due_ns <= $2 AND lease_until_ns <= $2"
                    " ORDER BY due_ns LIMIT 1 FOR UPDATE SKIP LOCKED",
                    channel,
                    now_ns,
                )
                if chat is None:
                    return None
                job = await self._prepare(connection, chat["tenant_id"], chat["subscriber_id"])
                if job is not None:
                    return job

    async def settle(self, job: Job, outcome: Outcome) -> list[tuple[int, int]]:
        """Write down what became of a job and let go of its chat: (status, how many deliveries).

        Nothing is written when the lease was lost meanwhile: then another replica has the chat.
        """
        who = (job.subscriber.tenant_id, job.subscriber.id)
        async with self._pool.acquire() as connection, connection.transaction():
            now_ns = self._clock.now_ns()
            paced_ns = await connection.fetchval(
                "SELECT paced_ns FROM notification.chats WHERE tenant_id = $1"
                " AND subscriber_id = $2 AND lease_owner = $3 FOR UPDATE",
                *who,
                self._owner,
            )
            if paced_ns is None:
                return []
            moved = await self._write(connection, job, outcome, now_ns)
            paced_ns = max(paced_ns, now_ns) + self._chat_gap_ns
            await connection.execute(
                "UPDATE notification.chats SET paced_ns = $3"
                " WHERE tenant_id = $1 AND subscriber_id = $2",
                *who,
                paced_ns,
            )
            earliest_ns = max(now_ns + outcome.wait_ns, paced_ns - (BURST - 1) * self._chat_gap_ns)
            await self._release(connection, who, earliest_ns)
            return moved

    async def next_due_ns(self, channel: str) -> int | None:
        """When the next chat is due, None when none waits."""
        found = await self._pool.fetchval(
            "SELECT min(GREATEST(due_ns, lease_until_ns)) FROM notification.chats"
            " WHERE channel = $1 AND due_ns IS NOT NULL",
            channel,
        )
        return None if found is None else int(found)

    async def standing(self, channel: str) -> tuple[int, int | None]:
        """How many messages are due and since when the oldest waits."""
        row = await self._pool.fetchrow(
            "SELECT count(*) AS depth, min(m.due_ns) AS oldest FROM notification.messages AS m"
            " JOIN notification.subscribers AS s"
            " ON s.tenant_id = m.tenant_id AND s.id = m.subscriber_id"
            " WHERE s.channel = $1 AND m.sent < m.wanted AND m.status <> 'failed'"
            " AND m.due_ns <= $2",
            channel,
            self._clock.now_ns(),
        )
        return (0, None) if row is None else (row["depth"], row["oldest"])

    async def _prepare(
        self, connection: Connection, tenant_id: str, subscriber_id: str
    ) -> Job | None:
        who = (tenant_id, subscriber_id)
        now_ns = self._clock.now_ns()
        row = await connection.fetchrow(
            "SELECT * FROM notification.subscribers WHERE tenant_id = $1 AND id = $2", *who
        )
        if row is None:
            await self._release(connection, who, now_ns)
            return None
        subscriber = subscriber_of(row)
        await Planner(connection, subscriber, now_ns).plan()
        message = await connection.fetchrow(
            "SELECT * FROM notification.messages WHERE tenant_id = $1 AND subscriber_id = $2"
            " AND sent < wanted AND status <> 'failed' AND due_ns <= $3"
            " ORDER BY sent > 0, seq LIMIT 1",
            *who,
            now_ns,
        )
        if message is None:
            await self._release(connection, who, now_ns)
            return None
        if not subscriber.enabled:
            await self._give_up(connection, message, subscriber.disabled_reason)
            await self._release(connection, who, now_ns)
            return None
        return await self._begin(connection, subscriber, message, now_ns)

    async def _begin(
        self,
        connection: Connection,
        subscriber: Subscriber,
        message: Mapping[str, Any],
        now_ns: int,
    ) -> Job:
        cards = await connection.fetch(
            "SELECT c.body, c.traceparent, count(*) OVER () AS total"
            " FROM notification.deliveries AS d"
            " JOIN notification.cards AS c USING (event_id) WHERE d.message_id = $1"
            " ORDER BY d.seq LIMIT $2",
            message["id"],
            MAX_CARDS,
        )
        await connection.execute(
            "UPDATE notification.messages SET in_flight = true, attempts = attempts + 1,"
            " unconfirmed = unconfirmed + $2 WHERE id = $1",
            message["id"],
            int(message["in_flight"]),
        )
        await connection.execute(
            "UPDATE notification.chats SET lease_owner = $3, lease_until_ns = $4"
            " WHERE tenant_id = $1 AND subscriber_id = $2",
            subscriber.tenant_id,
            subscriber.id,
            self._owner,
            now_ns + self._lease_ns,
        )
        return Job(
            message["id"],
            message["kind"],
            message["wanted"],
            message["ref"],
            message["attempts"] + 1,
            message["unconfirmed"] + int(message["in_flight"]),
            subscriber,
            tuple(load_card(row["body"]) for row in cards),
            tuple(row["traceparent"] for row in cards if row["traceparent"]),
            cards[0]["total"] if cards else 0,
            message["due_ns"],
        )

    async def _write(
        self, connection: Connection, job: Job, outcome: Outcome, now_ns: int
    ) -> list[tuple[int, int]]:
        if outcome.status == "sent":
            return await self._sent(connection, job, outcome, now_ns)
        if outcome.status == "retry":
            await self._again(connection, job, outcome, now_ns)
            return []
        if outcome.status == "blocked":
            await connection.execute(
                "UPDATE notification.subscribers SET enabled = false, disabled_reason = $3"
                " WHERE tenant_id = $1 AND id = $2",
                job.subscriber.tenant_id,
                job.subscriber.id,
                outcome.reason[:MAX_REASON],
            )
            await connection.execute("UPDATE notification.directory SET version = version + 1")
        return await self._failed(connection, job, outcome)

    async def _sent(
        self, connection: Connection, job: Job, outcome: Outcome, now_ns: int
    ) -> list[tuple[int, int]]:
        await connection.execute(
            "UPDATE notification.messages SET status = 'sent', sent = GREATEST(sent, $2),"
            " ref = $3, in_flight = false, attempts = 0, unconfirmed = 0, reason = ''"
            " WHERE id = $1",
            job.message_id,
            job.version,
            outcome.ref,
        )
        first = await connection.execute(
            "UPDATE notification.deliveries SET status = $2, revision = revision + 1, reason = '',"
            " attempts = $3, ts_delivered = $4 WHERE message_id = $1 AND status IN ($5, $6, $7)",
            job.message_id,
            SENT,
            job.attempts,
            now_ns,
            QUEUED,
            HELD,
            FAILED,
        )
        if job.kind != "alert" or not job.is_edit:
            return [(SENT, _count(first))]
        edited = await connection.execute(
            "UPDATE notification.deliveries SET status = $2, revision = revision + 1,"
            " ts_delivered = $3 WHERE message_id = $1 AND status IN ($4, $2)",
            job.message_id,
            EDITED,
            now_ns,
            SENT,
        )
        return [(EDITED, _count(edited))]

    async def _again(self, connection: Connection, job: Job, outcome: Outcome, now_ns: int) -> None:
        """A call whose end we did not see is counted: the next one may repeat it."""
        edit_due = now_ns + outcome.wait_ns if job.is_edit else 0
        await connection.execute(
            "UPDATE notification.messages SET in_flight = false,"
            " unconfirmed = unconfirmed + $2, reason = $3,"
            " attempts = attempts - $4, due_ns = GREATEST(due_ns, $5) WHERE id = $1",
            job.message_id,
            int(outcome.unconfirmed),
            outcome.reason[:MAX_REASON],
            0 if outcome.counts else 1,
            edit_due,
        )

    async def _failed(
        self, connection: Connection, job: Job, outcome: Outcome
    ) -> list[tuple[int, int]]:
        """A failed edit leaves what was delivered as it is."""
        if job.is_edit:
            await connection.execute(
                "UPDATE notification.messages SET sent = wanted, in_flight = false, attempts = 0,"
                " reason = $2 WHERE id = $1",
                job.message_id,
                outcome.reason[:MAX_REASON],
            )
        reason = outcome.reason[:MAX_REASON]
        if not job.is_edit:
            await connection.execute(
                "UPDATE notification.messages SET status = 'failed', in_flight = false,"
                " reason = $2 WHERE id = $1",
                job.message_id,
                reason,
            )
        done = await connection.execute(
            "UPDATE notification.deliveries SET status = $2, reason = $3, attempts = $4,"
            " revision = revision + 1 WHERE message_id = $1 AND status IN ($5, $6)",
            job.message_id,
            FAILED,
            reason,
            job.attempts,
            QUEUED,
            HELD,
        )
        return [(FAILED, _count(done))]

    async def _give_up(
        self, connection: Connection, message: Mapping[str, Any], reason: str
    ) -> None:
        """What waits for somebody who was switched off is not sent."""
        await connection.execute(
            "UPDATE notification.messages SET status = CASE WHEN sent = 0 THEN 'failed' ELSE status"
            " END, sent = CASE WHEN sent = 0 THEN 0 ELSE wanted END, reason = $2,"
            " in_flight = false WHERE id = $1",
            message["id"],
            reason or "switched off",
        )
        await connection.execute(
            "UPDATE notification.deliveries SET status = $2, reason = $3, revision = revision + 1"
            " WHERE message_id = $1 AND status IN ($4, $5)",
            message["id"],
            SUPPRESSED,
            reason or "switched off",
            QUEUED,
            HELD,
        )

    async def _release(
        self, connection: Connection, who: tuple[str, str], earliest_ns: int
    ) -> None:
        """The chat is due again when its next message is, not before `earliest_ns`."""
        due_ns = await connection.fetchval(
            "SELECT LEAST("
            "(SELECT min(due_ns) FROM notification.messages WHERE tenant_id = $1"
            " AND subscriber_id = $2 AND sent < wanted AND status <> 'failed'),"
            "(SELECT min(created_ns) FROM notification.deliveries WHERE tenant_id = $1"
            " AND subscriber_id = $2 AND status = 1 AND message_id IS NULL))",
            *who,
        )
        await connection.execute(
            "UPDATE notification.chats SET lease_owner = '', lease_until_ns = 0, due_ns = $3"
            " WHERE tenant_id = $1 AND subscriber_id = $2",
            *who,
            None if due_ns is None else max(earliest_ns, due_ns),
        )


def _count(done: str) -> int:
    """How many rows an UPDATE changed, by its tag."""
    return int(done.rpartition(" ")[2])
