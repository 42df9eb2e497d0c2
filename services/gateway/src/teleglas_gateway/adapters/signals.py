"""signal-scorer over gRPC."""

from __future__ import annotations

import grpc.aio

from teleglas.signal.v1 import signal_pb2, signal_pb2_grpc
from teleglas_gateway.adapters.calls import Calls
from teleglas_gateway.domain.keys import Grant

__all__ = ["SAFE_METHODS", "GrpcSignals"]

SAFE_METHODS = tuple(
    ("teleglas.signal.v1.Signals", method)
    for method in ("GetScore", "ListScores", "Explain", "GetWeights")
)


class GrpcSignals:
    """Raises Problem for whatever goes wrong behind it."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls) -> None:
        self._stub = signal_pb2_grpc.SignalsStub(channel)
        self._calls = calls

    async def score(
        self, request: signal_pb2.GetScoreRequest, grant: Grant
    ) -> signal_pb2.GetScoreResponse:
        return await self._calls.make(self._stub.GetScore, request, grant)

    async def scores(
        self, request: signal_pb2.ListScoresRequest, grant: Grant
    ) -> signal_pb2.ListScoresResponse:
        return await self._calls.make(self._stub.ListScores, request, grant)

    async def explain(
        self, request: signal_pb2.ExplainRequest, grant: Grant
    ) -> signal_pb2.ExplainResponse:
        return await self._calls.by_id(self._stub.Explain, request, grant)

    async def weights(
        self, request: signal_pb2.GetWeightsRequest, grant: Grant
    ) -> signal_pb2.GetWeightsResponse:
        return await self._calls.by_id(self._stub.GetWeights, request, grant)

    async def set_weights(
        self, request: signal_pb2.SetWeightsRequest, grant: Grant
    ) -> signal_pb2.SetWeightsResponse:
        return await self._calls.make(self._stub.SetWeights, request, grant)
