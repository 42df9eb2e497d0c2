"""whale-detector over gRPC."""

from __future__ import annotations

import grpc.aio

from teleglas.whale.v1 import whale_pb2, whale_pb2_grpc
from teleglas_gateway.adapters.calls import Calls
from teleglas_gateway.domain.keys import Grant

__all__ = ["SAFE_METHODS", "GrpcWhales"]

SAFE_METHODS = tuple(
    ("teleglas.whale.v1.Whales", method) for method in ("ListAlerts", "GetAlert", "ListThresholds")
)


class GrpcWhales:
    """Raises Problem for whatever goes wrong behind it."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls) -> None:
        self._stub = whale_pb2_grpc.WhalesStub(channel)
        self._calls = calls

    async def alerts(
        self, request: whale_pb2.ListAlertsRequest, grant: Grant
    ) -> whale_pb2.ListAlertsResponse:
        return await self._calls.make(self._stub.ListAlerts, request, grant)

    async def alert(
        self, request: whale_pb2.GetAlertRequest, grant: Grant
    ) -> whale_pb2.GetAlertResponse:
        return await self._calls.by_id(self._stub.GetAlert, request, grant)

    async def thresholds(
        self, request: whale_pb2.ListThresholdsRequest, grant: Grant
    ) -> whale_pb2.ListThresholdsResponse:
        return await self._calls.make(self._stub.ListThresholds, request, grant)
