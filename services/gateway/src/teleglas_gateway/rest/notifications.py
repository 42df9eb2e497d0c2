"""`/v1/notifications`: rules, subscribers, and what became of every event."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request

from teleglas.notification.v1 import notification_pb2
from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.domain.numbers import DECIMAL_STRINGS, iso_ms
from teleglas_gateway.rest.backends import NotificationsPort
from teleglas_gateway.rest.guard import guarded
from teleglas_gateway.rest.models import Page
from teleglas_gateway.rest.models_notifications import (
    Delivery,
    NewRule,
    NewSubscriber,
    Rule,
    Subscriber,
)
from teleglas_gateway.rest.params import (
    ID_PATTERN,
    CursorParam,
    FromParam,
    LimitParam,
    ToParam,
    next_link,
    page_token,
    parse_time,
)

__all__ = ["router"]

router = APIRouter(prefix="/v1/notifications", tags=["notifications"])
Reader = Annotated[Grant, Depends(guarded(Scope.ALERT_READ))]
Writer = Annotated[Grant, Depends(guarded(Scope.ALERT_WRITE))]
IdPath = Annotated[str, Path(max_length=128, pattern=ID_PATTERN)]
DeliveryIdPath = Annotated[str, Path(max_length=512, pattern=ID_PATTERN)]
SubscriberParam = Annotated[
    str | None, Query(max_length=128, pattern=ID_PATTERN, description="None: all of the tenant")
]
StatusName = Literal["queued", "sent", "edited", "held", "failed", "suppressed"]


@router.get("/rules")
async def list_rules(
    request: Request,
    grant: Reader,
    notifications: NotificationsPort,
    subscriber: SubscriberParam = None,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[Rule]:
    """What subscribers want to hear of."""
    query = ("rules", grant.tenant_id, subscriber)
    answer = await notifications.rules(
        notification_pb2.ListRulesRequest(
            subscriber_id=subscriber or "", page_size=limit, page_token=page_token(cursor, *query)
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    return Page(data=[_rule(rule) for rule in answer.rules], next_cursor=following, next=link)


@router.put("/rules/{rule_id:path}")
async def put_rule(
    grant: Writer, notifications: NotificationsPort, rule_id: IdPath, wanted: NewRule
) -> Rule:
    """Make a rule, or replace the one of this id."""
    rule = notification_pb2.Rule(
        id=rule_id,
        tenant_id=grant.tenant_id,
        subscriber_id=wanted.subscriber_id,
        name=wanted.name,
        kinds=wanted.kinds,
        instruments=wanted.instruments,
        venues=wanted.venues,
        min_notional=wanted.min_notional,
        min_percentile=wanted.min_percentile,
        min_abs_score=wanted.min_abs_score,
        enabled=wanted.enabled,
    )
    answer = await notifications.put_rule(notification_pb2.PutRuleRequest(rule=rule), grant)
    return _rule(answer.rule)


@router.delete("/rules/{rule_id:path}", status_code=204)
async def delete_rule(grant: Writer, notifications: NotificationsPort, rule_id: IdPath) -> None:
    """Forget a rule; what it has already sent stays in the deliveries."""
    await notifications.delete_rule(notification_pb2.DeleteRuleRequest(id=rule_id), grant)


@router.get("/subscribers")
async def list_subscribers(
    request: Request,
    grant: Reader,
    notifications: NotificationsPort,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[Subscriber]:
    """Whom alerts reach, and how."""
    query = ("subscribers", grant.tenant_id)
    answer = await notifications.subscribers(
        notification_pb2.ListSubscribersRequest(
            page_size=limit, page_token=page_token(cursor, *query)
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    rows = [_subscriber(found) for found in answer.subscribers]
    return Page(data=rows, next_cursor=following, next=link)


@router.put("/subscribers/{subscriber_id:path}")
async def put_subscriber(
    grant: Writer, notifications: NotificationsPort, subscriber_id: IdPath, wanted: NewSubscriber
) -> Subscriber:
    """Make a subscriber, or change the one of this id."""
    subscriber = notification_pb2.Subscriber(
        id=subscriber_id,
        tenant_id=grant.tenant_id,
        channel=wanted.channel,
        address=wanted.address,
        time_zone=wanted.time_zone,
        quiet_from=wanted.quiet_from,
        quiet_to=wanted.quiet_to,
        budget_per_hour=wanted.budget_per_hour,
        digest=wanted.digest,
        enabled=wanted.enabled,
    )
    answer = await notifications.put_subscriber(
        notification_pb2.PutSubscriberRequest(subscriber=subscriber), grant
    )
    return _subscriber(answer.subscriber)


@router.get("/deliveries")
async def list_deliveries(
    request: Request,
    grant: Reader,
    notifications: NotificationsPort,
    subscriber: SubscriberParam = None,
    status: Annotated[StatusName | None, Query(description="What became of it")] = None,
    from_time: FromParam = None,
    to: ToParam = None,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[Delivery]:
    """What became of each event for each subscriber, the newest first."""
    query = ("deliveries", grant.tenant_id, subscriber, status, from_time, to)
    answer = await notifications.deliveries(
        notification_pb2.ListDeliveriesRequest(
            subscriber_id=subscriber or "",
            status=_status(status),
            ts_from=parse_time(from_time, "from"),
            ts_to=parse_time(to, "to"),
            page_size=limit,
            page_token=page_token(cursor, *query),
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    rows = [_delivery(found) for found in answer.deliveries]
    return Page(data=rows, next_cursor=following, next=link)


@router.post("/deliveries/{delivery_id:path}/resend", status_code=202)
async def resend(
    grant: Writer, notifications: NotificationsPort, delivery_id: DeliveryIdPath
) -> Delivery:
    """Put what could not be delivered back into the queue."""
    answer = await notifications.resend(
        notification_pb2.ResendRequest(delivery_id=delivery_id), grant
    )
    return _delivery(answer.delivery)


def _rule(rule: notification_pb2.Rule) -> Rule:
    def least(name: str) -> object:
        known = rule.HasField(name)  # type: ignore[arg-type]
        return DECIMAL_STRINGS.inexact(getattr(rule, name)) if known else None

    return Rule.model_validate(
        {
            "id": rule.id,
            "subscriber_id": rule.subscriber_id,
            "name": rule.name,
            "kinds": list(rule.kinds),
            "instruments": list(rule.instruments),
            "venues": list(rule.venues),
            "min_notional": least("min_notional"),
            "min_percentile": least("min_percentile"),
            "min_abs_score": least("min_abs_score"),
            "enabled": rule.enabled,
        }
    )


def _subscriber(found: notification_pb2.Subscriber) -> Subscriber:
    return Subscriber(
        id=found.id,
        channel=found.channel,
        address=found.address,
        time_zone=found.time_zone,
        quiet_from=found.quiet_from,
        quiet_to=found.quiet_to,
        budget_per_hour=found.budget_per_hour,
        digest=found.digest,
        enabled=found.enabled,
    )


def _delivery(found: notification_pb2.Delivery) -> Delivery:
    return Delivery(
        id=found.id,
        subscriber_id=found.subscriber_id,
        rule_id=found.rule_id,
        event_id=found.event_id,
        channel=found.channel,
        status=_STATUS_NAMES.get(found.status, "unknown"),
        attempts=found.attempts,
        reason=found.reason,
        revision=found.revision,
        event_time=iso_ms(found.ts_event) if found.ts_event else None,
        delivered_time=iso_ms(found.ts_delivered) if found.ts_delivered else None,
    )


def _status(name: StatusName | None) -> notification_pb2.DeliveryStatus.ValueType:
    return notification_pb2.DeliveryStatus.Value(
        f"DELIVERY_STATUS_{(name or 'unspecified').upper()}"
    )


_STATUS_NAMES = {
    number: name.removeprefix("DELIVERY_STATUS_").lower()
    for name, number in notification_pb2.DeliveryStatus.items()
}
