"""What could not be delivered, once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg

from teleglas_notification.adapters.outbox import FAILED
from teleglas_notification.adapters.planning import SUPPRESSED
from teleglas_notification.adapters.store import QUEUED

__all__ = ["MAX_DELIVERY_ID", "NotFailedError", "resend"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

MAX_DELIVERY_ID = 512


class NotFailedError(Exception):
    """Only what failed or was suppressed can be sent again."""


async def resend(
    connection: Connection, tenant_id: str, delivery_id: str, now_ns: int
) -> Mapping[str, Any] | None:
    """Queue a delivery again, behind what waits in its chat; None where there is no such delivery.

    Raises NotFailedError.
    """
    row = await connection.fetchrow(
        "SELECT * FROM notification.deliveries WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tenant_id,
        delivery_id,
    )
    if row is None:
        return None
    if row["status"] not in (FAILED, SUPPRESSED):
        raise NotFailedError("expected a delivery that failed or was suppressed")
    await connection.execute(
        "DELETE FROM notification.messages WHERE id = $1 AND status = 'failed'", delivery_id
    )
    changed: Mapping[str, Any] | None = await connection.fetchrow(
        "UPDATE notification.deliveries SET status = $2, reason = '', message_id = NULL,"
        " revision = revision + 1 WHERE id = $1 RETURNING *",
        delivery_id,
        QUEUED,
    )
    await connection.execute(
        "UPDATE notification.chats SET due_ns = LEAST(due_ns, $3)"
        " WHERE tenant_id = $1 AND subscriber_id = $2",
        tenant_id,
        row["subscriber_id"],
        now_ns,
    )
    return changed
