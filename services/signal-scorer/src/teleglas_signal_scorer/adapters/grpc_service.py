"""The gRPC service Signals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from teleglas.signal.v1 import signal_pb2 as pb
from teleglas.signal.v1.signal_pb2_grpc import SignalsServicer
from teleglas_common.grpc_server import call_limit
from teleglas_common.paging import CursorError, decode_cursor, encode_cursor, page_size
from teleglas_common.principal import Authenticate, Principal, PrincipalError
from teleglas_signal_scorer.adapters.messages import contributions_of, weights_message
from teleglas_signal_scorer.adapters.queries import Queries
from teleglas_signal_scorer.adapters.requests import (
    MAX_TS,
    InvalidRequestError,
    NotFoundError,
    cost_of,
    id_parts,
    instrument_of,
    range_of,
    reason_of,
    weights_of,
)
from teleglas_signal_scorer.adapters.rescored import Rescored
from teleglas_signal_scorer.adapters.weights_table import TooManyVersionsError, WeightsTable
from teleglas_signal_scorer.domain.explain import sentences
from teleglas_signal_scorer.domain.weights import Weights, WeightsError

__all__ = ["ERRORS", "MAX_BACKTEST", "Limits", "SignalsService"]

Context = grpc.aio.ServicerContext[Any, Any]

ERRORS: dict[type[Exception], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    WeightsError: grpc.StatusCode.INVALID_ARGUMENT,
    CursorError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    PrincipalError: grpc.StatusCode.UNAUTHENTICATED,
    TooManyVersionsError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
}

MAX_BACKTEST = 100_000
"""Scores that one call may go through."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is the same for every call."""

    default_quote: str
    default_deadline_s: float


class SignalsService(SignalsServicer):
    """Answers from the database: what a checkpoint has stored, in whichever replica."""

    def __init__(
        self,
        queries: Queries,
        weights: WeightsTable,
        authenticate: Authenticate,
        limits: Limits,
    ) -> None:
        self._queries = queries
        self._weights = weights
        self._authenticate = authenticate
        self._limits = limits

    async def GetScore(  # noqa: N802
        self, request: pb.GetScoreRequest, context: Context
    ) -> pb.GetScoreResponse:
        async with self._call(context):
            instrument = self._instrument(request.instrument)
            if request.as_of < 0:
                raise InvalidRequestError(f"expected a time of 0 or more, was {request.as_of}")
            found = await self._queries.newest(instrument, request.as_of or MAX_TS)
            if found is None:
                raise NotFoundError(f"expected an instrument with scores, was {instrument}")
            return pb.GetScoreResponse(score=pb.SignalScore.FromString(found))

    async def ListScores(  # noqa: N802
        self, request: pb.ListScoresRequest, context: Context
    ) -> pb.ListScoresResponse:
        async with self._call(context):
            instrument = self._instrument(request.instrument)
            begin, end = range_of(request.ts_from, request.ts_to)
            size = page_size(request.page_size)
            scope = f"scores:{instrument}"
            if request.page_token:
                end = min(end, _position(scope, request.page_token))
            rows = await self._queries.page(instrument, begin, end, size + 1)
            token = ""
            if len(rows) > size:
                token = encode_cursor(scope, (rows[size - 1]["ts_event"],))
            scores = [pb.SignalScore.FromString(row["message"]) for row in rows[:size]]
            return pb.ListScoresResponse(scores=scores, next_page_token=token)

    async def Explain(  # noqa: N802
        self, request: pb.ExplainRequest, context: Context
    ) -> pb.ExplainResponse:
        async with self._call(context):
            found = await self._queries.one(*id_parts(request.id))
            if found is None:
                raise NotFoundError(f"expected the id of a score, was {request.id[:128]!r}")
            score = pb.SignalScore.FromString(found)
            return pb.ExplainResponse(score=score, sentences=sentences(contributions_of(score)))

    async def GetWeights(  # noqa: N802
        self, request: pb.GetWeightsRequest, context: Context
    ) -> pb.GetWeightsResponse:
        async with self._call(context):
            weights = await self._version(request.version)
            return pb.GetWeightsResponse(weights=weights_message(weights))

    async def SetWeights(  # noqa: N802
        self, request: pb.SetWeightsRequest, context: Context
    ) -> pb.SetWeightsResponse:
        async with self._call(context) as principal:
            layers, reason = weights_of(request), reason_of(request.reason)
            made = await self._weights.change(layers, reason, principal)
            return pb.SetWeightsResponse(weights=weights_message(made))

    async def Backtest(  # noqa: N802
        self, request: pb.BacktestRequest, context: Context
    ) -> pb.BacktestResponse:
        """Weighs the stored readings anew, by the version asked for."""
        async with self._call(context):
            instrument = self._instrument(request.instrument)
            begin, end = range_of(request.ts_from, request.ts_to)
            cost = cost_of(request.cost_basis_points)
            weights = await self._version(request.weights_version)
            count = await self._queries.count(instrument, begin, end, MAX_BACKTEST + 1)
            if count > MAX_BACKTEST:
                raise InvalidRequestError(
                    f"expected a range of at most {MAX_BACKTEST} scores, it has more"
                )
            rescored = Rescored(weights)
            async for row in self._queries.oldest_first(instrument, begin, end):
                rescored.take(row["ts_event"], row["price"], row["message"])
            return rescored.response(cost)

    def _instrument(self, name: str) -> str:
        return instrument_of(name, self._limits.default_quote)

    async def _version(self, version: int) -> Weights:
        found = None if version > 0x7FFFFFFF else await self._weights.get(version)
        if found is None:
            raise NotFoundError(f"expected a version of the weights, was {version}")
        return found

    @asynccontextmanager
    async def _call(self, context: Context) -> AsyncIterator[Principal]:
        """One call: who asks is checked, and it ends when its caller does not wait any more."""
        principal = self._authenticate(context)
        async with call_limit(context, self._limits.default_deadline_s):
            yield principal


def _position(scope: str, token: str) -> int:
    match decode_cursor(scope, token):
        case (int(ts),) if 0 <= ts <= MAX_TS:
            return ts
    raise CursorError("expected a cursor of this list, was one of another")
