"""prediction over gRPC."""

from __future__ import annotations

import grpc.aio

from teleglas.prediction.v1 import prediction_pb2, prediction_pb2_grpc
from teleglas_gateway.adapters.calls import Calls
from teleglas_gateway.domain.keys import Grant

__all__ = ["SAFE_METHODS", "GrpcPredictions"]

SAFE_METHODS = tuple(
    ("teleglas.prediction.v1.Predictions", method)
    for method in ("Predict", "PredictBatch", "ListLedger", "ListModels")
)


class GrpcPredictions:
    """Raises Problem for whatever goes wrong behind it."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls) -> None:
        self._stub = prediction_pb2_grpc.PredictionsStub(channel)
        self._calls = calls

    async def predict(
        self, request: prediction_pb2.PredictRequest, grant: Grant
    ) -> prediction_pb2.PredictResponse:
        return await self._calls.make(self._stub.Predict, request, grant)

    async def batch(
        self, request: prediction_pb2.PredictBatchRequest, grant: Grant
    ) -> prediction_pb2.PredictBatchResponse:
        return await self._calls.make(self._stub.PredictBatch, request, grant)

    async def ledger(
        self, request: prediction_pb2.ListLedgerRequest, grant: Grant
    ) -> prediction_pb2.ListLedgerResponse:
        return await self._calls.make(self._stub.ListLedger, request, grant)

    async def models(
        self, request: prediction_pb2.ListModelsRequest, grant: Grant
    ) -> prediction_pb2.ListModelsResponse:
        return await self._calls.make(self._stub.ListModels, request, grant)
