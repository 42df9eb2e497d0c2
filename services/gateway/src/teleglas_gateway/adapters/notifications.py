"""notification over gRPC."""

from __future__ import annotations

import grpc.aio

from teleglas.notification.v1 import notification_pb2, notification_pb2_grpc
from teleglas_gateway.adapters.calls import Calls
from teleglas_gateway.domain.keys import Grant

__all__ = ["SAFE_METHODS", "GrpcNotifications"]

SAFE_METHODS = tuple(
    ("teleglas.notification.v1.Notifications", method)
    for method in (
        *("ListRules", "PutRule", "DeleteRule", "ListSubscribers", "PutSubscriber"),
        "ListDeliveries",
    )
)
"""A put or a delete of a named thing may be repeated; sending again may not."""


class GrpcNotifications:
    """Raises Problem for whatever goes wrong behind it."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls) -> None:
        self._stub = notification_pb2_grpc.NotificationsStub(channel)
        self._calls = calls

    async def rules(
        self, request: notification_pb2.ListRulesRequest, grant: Grant
    ) -> notification_pb2.ListRulesResponse:
        return await self._calls.make(self._stub.ListRules, request, grant)

    async def put_rule(
        self, request: notification_pb2.PutRuleRequest, grant: Grant
    ) -> notification_pb2.PutRuleResponse:
        return await self._calls.by_id(self._stub.PutRule, request, grant)

    async def delete_rule(
        self, request: notification_pb2.DeleteRuleRequest, grant: Grant
    ) -> notification_pb2.DeleteRuleResponse:
        return await self._calls.by_id(self._stub.DeleteRule, request, grant)

    async def subscribers(
        self, request: notification_pb2.ListSubscribersRequest, grant: Grant
    ) -> notification_pb2.ListSubscribersResponse:
        return await self._calls.make(self._stub.ListSubscribers, request, grant)

    async def put_subscriber(
        self, request: notification_pb2.PutSubscriberRequest, grant: Grant
    ) -> notification_pb2.PutSubscriberResponse:
        return await self._calls.by_id(self._stub.PutSubscriber, request, grant)

    async def deliveries(
        self, request: notification_pb2.ListDeliveriesRequest, grant: Grant
    ) -> notification_pb2.ListDeliveriesResponse:
        return await self._calls.make(self._stub.ListDeliveries, request, grant)

    async def resend(
        self, request: notification_pb2.ResendRequest, grant: Grant
    ) -> notification_pb2.ResendResponse:
        return await self._calls.by_id(self._stub.Resend, request, grant)
