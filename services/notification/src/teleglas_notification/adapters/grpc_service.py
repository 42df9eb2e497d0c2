"""The gRPC service Notifications: everything is of the caller's tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import grpc

from teleglas.notification.v1 import notification_pb2 as pb
from teleglas.notification.v1.notification_pb2_grpc import NotificationsServicer
from teleglas_common.clock import Clock
from teleglas_common.grpc_server import call_limit
from teleglas_common.paging import CursorError, decode_cursor, encode_cursor, page_size
from teleglas_common.principal import ANONYMOUS, Authenticate, PrincipalError
from teleglas_notification.adapters.directory import (
    TooManyError,
    put_rule,
    put_subscriber,
    remove_rule,
)
from teleglas_notification.adapters.reporter import delivery_of
from teleglas_notification.adapters.requests import (
    MAX_TS,
    InvalidRequestError,
    NotFoundError,
    check_id,
    checked_rule,
    checked_subscriber,
    range_of,
)
from teleglas_notification.adapters.resend import MAX_DELIVERY_ID, NotFailedError, resend

__all__ = ["ERRORS", "Access", "NotificationsService"]

Context = grpc.aio.ServicerContext[Any, Any]

ERRORS: dict[type[Exception], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    CursorError: grpc.StatusCode.INVALID_ARGUMENT,
    TooManyError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFailedError: grpc.StatusCode.FAILED_PRECONDITION,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    PrincipalError: grpc.StatusCode.UNAUTHENTICATED,
    TimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call what, and which channels there are."""

    authenticate: Authenticate
    channels: Collection[str]
    allow_loopback: bool
    default_deadline_s: float


class NotificationsService(NotificationsServicer):
    """Rules, subscribers and deliveries of the caller's tenant. `wake` tells the dispatchers."""

    def __init__(
        self, pool: asyncpg.Pool[Any], clock: Clock, access: Access, wake: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._access = access
        self._wake = wake

    async def ListRules(  # noqa: N802
        self, request: pb.ListRulesRequest, context: Context
    ) -> pb.ListRulesResponse:
        async with self._call(context) as tenant:
            if request.subscriber_id:
                check_id("a subscriber's id", request.subscriber_id)
            scope = f"rules:{tenant}:{request.subscriber_id}"
            size = page_size(request.page_size)
            rows = await self._pool.fetch(
                "SELECT * FROM notification.rules WHERE tenant_id = $1"
                " AND ($2 = '' OR subscriber_id = $2) AND id > $3 ORDER BY id LIMIT $4",
                tenant,
                request.subscriber_id,
                _name(scope, request.page_token),
                size + 1,
            )
            return pb.ListRulesResponse(
                rules=[_rule(row) for row in rows[:size]],
                next_page_token=_next(scope, rows, size),
            )

    async def PutRule(  # noqa: N802
        self, request: pb.PutRuleRequest, context: Context
    ) -> pb.PutRuleResponse:
        async with self._call(context) as tenant:
            rule = checked_rule(request.rule, tenant, self._clock.now_ns())
            async with self._pool.acquire() as connection, connection.transaction():
                if not await put_rule(connection, rule):
                    raise NotFoundError(f"expected a subscriber, was {rule.subscriber_id!r}")
                row = await connection.fetchrow(
                    "SELECT * FROM notification.rules WHERE tenant_id = $1 AND id = $2",
                    tenant,
                    rule.id,
                )
            return pb.PutRuleResponse(rule=_rule(_found(row, rule.id)))

    async def DeleteRule(  # noqa: N802
        self, request: pb.DeleteRuleRequest, context: Context
    ) -> pb.DeleteRuleResponse:
        async with self._call(context) as tenant:
            check_id("a rule's id", request.id)
            async with self._pool.acquire() as connection, connection.transaction():
                if not await remove_rule(connection, tenant, request.id):
                    raise NotFoundError(f"expected a rule, was {request.id!r}")
            return pb.DeleteRuleResponse()

    async def ListSubscribers(  # noqa: N802
        self, request: pb.ListSubscribersRequest, context: Context
    ) -> pb.ListSubscribersResponse:
        async with self._call(context) as tenant:
            scope = f"subscribers:{tenant}"
            size = page_size(request.page_size)
            rows = await self._pool.fetch(
                "SELECT * FROM notification.subscribers WHERE tenant_id = $1 AND id > $2"
                " ORDER BY id LIMIT $3",
                tenant,
                _name(scope, request.page_token),
                size + 1,
            )
            return pb.ListSubscribersResponse(
                subscribers=[_subscriber(row) for row in rows[:size]],
                next_page_token=_next(scope, rows, size),
            )

    async def PutSubscriber(  # noqa: N802
        self, request: pb.PutSubscriberRequest, context: Context
    ) -> pb.PutSubscriberResponse:
        async with self._call(context) as tenant:
            one = checked_subscriber(
                request.subscriber,
                tenant,
                self._clock.now_ns(),
                channels=self._access.channels,
                allow_loopback=self._access.allow_loopback,
            )
            async with self._pool.acquire() as connection, connection.transaction():
                muted = await connection.fetchval(
                    "SELECT muted_until_ns FROM notification.subscribers"
                    " WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
                    tenant,
                    one.id,
                )
                await put_subscriber(connection, replace(one, muted_until_ns=muted or 0))
                row = await connection.fetchrow(
                    "SELECT * FROM notification.subscribers WHERE tenant_id = $1 AND id = $2",
                    tenant,
                    one.id,
                )
            return pb.PutSubscriberResponse(subscriber=_subscriber(_found(row, one.id)))

    async def ListDeliveries(  # noqa: N802
        self, request: pb.ListDeliveriesRequest, context: Context
    ) -> pb.ListDeliveriesResponse:
        async with self._call(context) as tenant:
            if request.subscriber_id:
                check_id("a subscriber's id", request.subscriber_id)
            begin, end = range_of(request.ts_from, request.ts_to)
            status = min(max(request.status, -1), 32_767)
            scope = f"deliveries:{tenant}:{request.subscriber_id}:{status}:{begin}:{end}"
            size = page_size(request.page_size)
            ts, seq = _mark(scope, request.page_token)
            rows = await self._pool.fetch(
                "SELECT * FROM notification.deliveries WHERE tenant_id = $1"
                " AND ($2 = '' OR subscriber_id = $2) AND ($3 = 0 OR status = $3::int)"
                " AND ts_event >= $4 AND ts_event < $5 AND (ts_event, seq) < ($6, $7)"
                " ORDER BY ts_event DESC, seq DESC LIMIT $8",
                tenant,
                request.subscriber_id,
                status,
                begin,
                end,
                ts,
                seq,
                size + 1,
            )
            token = ""
            if len(rows) > size:
                last = rows[size - 1]
                token = encode_cursor(scope, (last["ts_event"], last["seq"]))
            deliveries = [delivery_of(row) for row in rows[:size]]
            return pb.ListDeliveriesResponse(deliveries=deliveries, next_page_token=token)

    async def Resend(  # noqa: N802
        self, request: pb.ResendRequest, context: Context
    ) -> pb.ResendResponse:
        async with self._call(context) as tenant:
            delivery_id = request.delivery_id
            if not 0 < len(delivery_id) <= MAX_DELIVERY_ID or "\x00" in delivery_id:
                raise InvalidRequestError(
                    f"expected a delivery's id of 1 to {MAX_DELIVERY_ID} characters"
                )
            async with self._pool.acquire() as connection, connection.transaction():
                row = await resend(connection, tenant, delivery_id, self._clock.now_ns())
            if row is None:
                raise NotFoundError(f"expected a delivery, was {delivery_id!r}")
            self._wake()
            return pb.ResendResponse(delivery=delivery_of(row))

    @asynccontextmanager
    async def _call(self, context: Context) -> AsyncIterator[str]:
        """One call: whose it is, and it ends when its caller does not wait any more."""
        tenant = self._access.authenticate(context).tenant_id or ANONYMOUS.tenant_id
        async with call_limit(context, self._access.default_deadline_s):
            yield tenant


def _found(row: Any, name: str) -> Mapping[str, Any]:
    if row is None:
        raise NotFoundError(f"expected {name!r}, it was removed meanwhile")
    found: Mapping[str, Any] = row
    return found


def _rule(row: Mapping[str, Any]) -> pb.Rule:
    return pb.Rule(
        id=row["id"],
        tenant_id=row["tenant_id"],
        subscriber_id=row["subscriber_id"],
        name=row["name"],
        kinds=row["kinds"],
        instruments=row["instruments"],
        venues=row["venues"],
        min_notional=row["min_notional"],
        min_percentile=row["min_percentile"],
        min_abs_score=row["min_abs_score"],
        enabled=row["enabled"],
    )


def _subscriber(row: Mapping[str, Any]) -> pb.Subscriber:
    return pb.Subscriber(
        id=row["id"],
        tenant_id=row["tenant_id"],
        channel=row["channel"],
        address=row["address"],
        time_zone=row["time_zone"],
        quiet_from=row["quiet_from"],
        quiet_to=row["quiet_to"],
        budget_per_hour=row["budget_per_hour"],
        digest=row["digest"],
        enabled=row["enabled"],
    )


def _name(scope: str, token: str) -> str:
    if not token:
        return ""
    match decode_cursor(scope, token):
        case (str(name),) if "\x00" not in name:
            return name
    raise CursorError("expected a cursor of this list, was one of another")


def _mark(scope: str, token: str) -> tuple[int, int]:
    if not token:
        return MAX_TS, MAX_TS
    match decode_cursor(scope, token):
        case (int(ts), int(seq)) if abs(ts) <= MAX_TS and abs(seq) <= MAX_TS:
            return ts, seq
    raise CursorError("expected a cursor of this list, was one of another")


def _next(scope: str, rows: list[Any], size: int) -> str:
    return encode_cursor(scope, (rows[size - 1]["id"],)) if len(rows) > size else ""
