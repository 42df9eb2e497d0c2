"""The gRPC service Predictions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from teleglas.prediction.v1 import prediction_pb2 as pb
from teleglas.prediction.v1.prediction_pb2_grpc import PredictionsServicer
from teleglas_common.grpc_server import call_limit
from teleglas_common.paging import CursorError, encode_cursor, page_size
from teleglas_common.principal import Authenticate, PrincipalError
from teleglas_prediction.adapters.messages import forecast_message
from teleglas_prediction.adapters.queries import LedgerPage, Queries, ledger_entry
from teleglas_prediction.adapters.requests import (
    InvalidRequestError,
    NotFoundError,
    Symbols,
    horizon_of,
    horizons_of,
    ledger_mark,
    model_of,
    range_of,
)
from teleglas_prediction.domain.horizons import BY_NS
from teleglas_prediction.lineups import Lineups
from teleglas_prediction.model_list import list_models
from teleglas_prediction.shard import Live

__all__ = ["ERRORS", "PredictionService"]

Context = grpc.aio.ServicerContext[Any, Any]

ERRORS: dict[type[Exception], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    CursorError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    PrincipalError: grpc.StatusCode.UNAUTHENTICATED,
    TimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class PredictionService(PredictionsServicer):
    """Forecasts stand at closed bars only: what is asked for now is what was made at the last one,
    so that every answer is in the ledger.
    """

    def __init__(
        self,
        queries: Queries,
        live: Live,
        lineups: Lineups,
        symbols: Symbols,
        authenticate: Authenticate,
        default_deadline_s: float,
    ) -> None:
        self._queries = queries
        self._live = live
        self._lineups = lineups
        self._symbols = symbols
        self._authenticate = authenticate
        self._default_deadline_s = default_deadline_s

    async def Predict(  # noqa: N802
        self, request: pb.PredictRequest, context: Context
    ) -> pb.PredictResponse:
        async with self._call(context):
            instrument = self._symbols.instrument(request.instrument)
            horizon_ns = horizon_of(request.horizon_ns)
            model = model_of(request.model)
            found = await self._newest([(instrument, horizon_ns)], model)
            if not found:
                raise NotFoundError(self._why_none(instrument, horizon_ns, model))
            return pb.PredictResponse(forecast=found[0])

    async def PredictBatch(  # noqa: N802
        self, request: pb.PredictBatchRequest, context: Context
    ) -> pb.PredictBatchResponse:
        async with self._call(context):
            instruments = self._symbols.instruments(request.instruments)
            horizons = horizons_of(request.horizons_ns)
            asked = [(name, horizon_ns) for name in instruments for horizon_ns in horizons]
            return pb.PredictBatchResponse(forecasts=await self._newest(asked, ""))

    async def ListLedger(  # noqa: N802
        self, request: pb.ListLedgerRequest, context: Context
    ) -> pb.ListLedgerResponse:
        async with self._call(context):
            name = request.instrument
            instrument = self._symbols.instrument(name) if name else ""
            horizon_ns = horizon_of(request.horizon_ns) if request.horizon_ns else 0
            ts_from, ts_to = range_of(request.ts_from, request.ts_to)
            scope = f"ledger:{instrument}:{horizon_ns}:{ts_from}:{ts_to}"
            size = page_size(request.page_size)
            ts_before, id_before = ledger_mark(scope, request.page_token)
            rows = await self._queries.ledger(
                LedgerPage(instrument, horizon_ns, ts_from, ts_to, ts_before, id_before, size + 1)
            )
            token = ""
            if len(rows) > size:
                last = rows[size - 1]
                token = encode_cursor(scope, (last["ts_event"], last["id"]))
            return pb.ListLedgerResponse(
                entries=[ledger_entry(row) for row in rows[:size]], next_page_token=token
            )

    async def ListModels(  # noqa: N802
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        async with self._call(context):
            del request
            models = list_models(self._lineups, self._live.all_series())
            return pb.ListModelsResponse(models=models)

    async def _newest(self, asked: Sequence[tuple[str, int]], model: str) -> list[pb.Forecast]:
        """In the order asked for, what there is: from the series where this process has them, else
        from the ledger.
        """
        found: dict[tuple[str, int], pb.Forecast] = {}
        for instrument, horizon_ns in asked:
            series = self._live.series(instrument, BY_NS[horizon_ns].interval)
            entry = None if series is None else series.latest(horizon_ns, model)
            if entry is not None:
                found[instrument, horizon_ns] = forecast_message(instrument, entry)
        missing = [one for one in asked if one not in found]
        if missing:
            found |= await self._queries.newest(missing, model)
        return [found[one] for one in asked if one in found]

    def _why_none(self, instrument: str, horizon_ns: int, model: str) -> str:
        horizon = BY_NS[horizon_ns]
        series = self._live.series(instrument, horizon.interval)
        if series is None:
            return f"expected an instrument with bars here, {instrument} has none"
        there, needed = series.warm_up
        if there >= needed and model:
            needs = {
                one.name: one.needs_bars for one in self._lineups.by_horizon[horizon_ns].models
            }
            if model not in needs:
                return f"expected a trained model, the registry has no {model} of {horizon.name}"
            needed = needs[model]
        return (
            f"{instrument} has {there} of the {needed} closed {horizon.interval} bars"
            f" that a forecast {horizon.name} ahead needs"
        )

    @asynccontextmanager
    async def _call(self, context: Context) -> AsyncIterator[None]:
        """One query: who asks is checked, and it ends when its caller does not wait any more."""
        self._authenticate(context)
        async with call_limit(context, self._default_deadline_s):
            yield
