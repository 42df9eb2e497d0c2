"""Deliveries as events: what changed in the database goes to the log, in its order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import structlog
from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind

from teleglas.notification.v1.notification_pb2 import Delivery
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import Publisher
from teleglas_common.bus.tracing import MAX_LINKS, span_context
from teleglas_common.clock import Clock
from teleglas_contracts import topics

__all__ = ["Reporter", "delivery_of"]

BATCH = 500
LOCK = 0x7E1E6A01
FALLBACK_S = 5.0
PUBLISH_TIMEOUT_S = 30.0

log = structlog.get_logger(__name__)
_tracer = trace.get_tracer("teleglas.notification")


def delivery_of(row: Mapping[str, Any]) -> Delivery:
    return Delivery(
        id=row["id"],
        tenant_id=row["tenant_id"],
        subscriber_id=row["subscriber_id"],
        rule_id=row["rule_id"],
        event_id=row["event_id"],
        channel=row["channel"],
        status=row["status"],
        attempts=row["attempts"],
        reason=row["reason"],
        ts_event=row["ts_event"],
        ts_delivered=row["ts_delivered"],
        revision=row["revision"],
    )


class Reporter:
    """One replica reports at a time. A revision counts as reported once the log has acknowledged
    it, so after a crash some are written again, under the same ids.
    """

    def __init__(self, publisher: Publisher, clock: Clock) -> None:
        self._publisher = publisher
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def run(self, pool: asyncpg.Pool[Any], stopping: asyncio.Event) -> None:
        """Report until stopped; what is left is reported before it returns."""
        while not stopping.is_set():
            await self.drain(pool)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), FALLBACK_S)
            self._woken.clear()
        await self.drain(pool)

    async def drain(self, pool: asyncpg.Pool[Any]) -> None:
        while await self._report(pool) == BATCH:
            pass

    async def _report(self, pool: asyncpg.Pool[Any]) -> int:
        async with pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
                return 0
            rows = await connection.fetch(
                "SELECT d.*, c.traceparent FROM notification.deliveries AS d"
                " JOIN notification.cards AS c USING (event_id)"
                " WHERE d.reported < d.revision ORDER BY d.seq LIMIT $1",
                BATCH,
            )
            if not rows:
                return 0
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                await self._publish(rows)
            # Waits for nobody's row, so that it is in no deadlock: one that is being changed now
            # will have another revision to report.
            await connection.execute(
                "UPDATE notification.deliveries AS d SET reported = w.revision FROM (SELECT f.id,"
                " n.revision FROM notification.deliveries AS f"
                " JOIN unnest($1::text[], $2::int[]) AS n (id, revision) USING (id)"
                " FOR UPDATE OF f SKIP LOCKED) AS w WHERE d.id = w.id",
                [row["id"] for row in rows],
                [row["revision"] for row in rows],
            )
            return len(rows)

    async def _publish(self, rows: Sequence[Mapping[str, Any]]) -> None:
        contexts = [span_context(row["traceparent"].encode()) for row in rows]
        links = [Link(one) for one in contexts if one is not None and one.trace_flags.sampled]
        with contextlib.ExitStack() as stack:
            if links:
                stack.enter_context(
                    _tracer.start_as_current_span(
                        "publish deliveries", kind=SpanKind.PRODUCER, links=links[:MAX_LINKS]
                    )
                )
            for row in rows:
                key = f"{row['tenant_id']}:{row['subscriber_id']}"
                record = outgoing(
                    topics.NOTIFICATION_DELIVERIES_V1,
                    delivery_of(row),
                    key=key,
                    subject=key,
                    now_ns=self._clock.now_ns(),
                    event_id=row["id"],
                )
                await self._publisher.send(record)
            await self._publisher.flush()
