"""`/v1/predictions` and `/ml/predict`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request

from teleglas.prediction.v1 import prediction_pb2
from teleglas_gateway.domain.horizons import HORIZONS, NS_PER_S
from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.domain.symbols import UnknownSymbolError
from teleglas_gateway.ports import Predictions
from teleglas_gateway.rest import views_alerts as views
from teleglas_gateway.rest.backends import PredictionsPort
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.guard import context_of, guarded
from teleglas_gateway.rest.models import Page
from teleglas_gateway.rest.models_alerts import (
    Forecast,
    ForecastModel,
    LedgerEntry,
    MlBatch,
    MlPrediction,
    MlRefusal,
)
from teleglas_gateway.rest.params import (
    ID_PATTERN,
    MAX_SYMBOLS,
    CursorParam,
    FromParam,
    LimitParam,
    OptionalSymbolParam,
    ToParam,
    next_link,
    page_token,
    parse_time,
    resolve,
    resolve_optional,
)

__all__ = ["predecessor", "router"]

router = APIRouter(prefix="/v1/predictions", tags=["predictions"])
predecessor = APIRouter(prefix="/ml", tags=["predecessor"])
Reader = Annotated[Grant, Depends(guarded(Scope.SIGNAL_READ))]
Context = Annotated[RestContext, Depends(context_of)]
HorizonName = Literal["5m", "15m", "1h", "4h", "24h"]
HorizonsParam = Annotated[
    list[HorizonName] | None, Query(max_length=5, description="None: every horizon")
]
HOUR_NS = 3600 * NS_PER_S
PeriodsParam = Annotated[
    int, Query(ge=1, le=168, description="Hours ahead: every horizon that ends by then")
]
CHAMPION_NAMES = frozenset(("", "auto", "champion", "ensemble"))
"""What clients of the predecessor write when they leave the model to us."""
ModelParam = Annotated[
    str,
    Query(max_length=64, pattern=r"^[A-Za-z0-9._-]*$", description="None or `auto`: the champion"),
]


@router.get("")
async def list_forecasts(
    context: Context,
    grant: Reader,
    predictions: PredictionsPort,
    symbol: Annotated[list[str], Query(min_length=1, max_length=MAX_SYMBOLS)],
    horizon: HorizonsParam = None,
    model: ModelParam = "",
) -> Page[Forecast]:
    """The newest forecast of each symbol and horizon, on the composite."""
    instruments = [resolve(context.catalogue, name) for name in dict.fromkeys(symbol)]
    found = await _forecasts(predictions, instruments, _lengths(horizon), model, grant)
    return Page(data=[views.forecast(one) for one in found])


@router.get("/ledger")
async def list_ledger(
    request: Request,
    context: Context,
    grant: Reader,
    predictions: PredictionsPort,
    symbol: OptionalSymbolParam = None,
    horizon: HorizonName | None = None,
    from_time: FromParam = None,
    to: ToParam = None,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[LedgerEntry]:
    """Every forecast that was made and what became of it, the newest first."""
    instrument = resolve_optional(context.catalogue, symbol)
    query = ("ledger", instrument, horizon, from_time, to)
    answer = await predictions.ledger(
        prediction_pb2.ListLedgerRequest(
            instrument=instrument,
            horizon_ns=HORIZONS[horizon] if horizon else 0,
            ts_from=parse_time(from_time, "from"),
            ts_to=parse_time(to, "to"),
            page_size=limit,
            page_token=page_token(cursor, *query),
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    rows = [views.ledger_entry(entry) for entry in answer.entries]
    return Page(data=rows, next_cursor=following, next=link)


@router.get("/models")
async def list_models(grant: Reader, predictions: PredictionsPort) -> Page[ForecastModel]:
    """The models, what they were trained on, and which one speaks for each horizon."""
    answer = await predictions.models(prediction_pb2.ListModelsRequest(), grant)
    return Page(data=[views.forecast_model(model) for model in answer.models])


@predecessor.get("/predict/batch")
async def predict_batch(
    context: Context,
    grant: Reader,
    predictions: PredictionsPort,
    symbols: Annotated[str, Query(max_length=1024, description="`BTC,ETH`, at most 20")],
    periods: PeriodsParam = 24,
) -> MlBatch:
    """Several symbols at once; one that is wrong is named and spoils no other."""
    named = [part.strip() for part in symbols.split(",") if part.strip()]
    if not 1 <= len(named) <= MAX_SYMBOLS:
        raise Problem(
            Code.VALIDATION_FAILED, f"expected 1 to {MAX_SYMBOLS} symbols, were {len(named)}"
        )
    instruments: list[str] = []
    errors: list[MlRefusal] = []
    for name in dict.fromkeys(named):
        try:
            instruments.append(context.catalogue.resolve(name))
        except UnknownSymbolError as error:
            code = Code.UNKNOWN_SYMBOL.slug
            errors.append(MlRefusal(symbol=name[:64], code=code, detail=str(error)))
    found: list[prediction_pb2.Forecast] = []
    if instruments:
        found = await _forecasts(predictions, instruments, _ending_within(periods), "", grant)
    results = []
    for instrument in dict.fromkeys(instruments):
        own = [one for one in found if one.instrument == instrument]
        results.append(_ml(context, instrument, own, periods))
    return MlBatch(periods=periods, results=results, errors=errors)


@predecessor.get("/predict/{symbol:path}")
async def predict(
    context: Context,
    grant: Reader,
    predictions: PredictionsPort,
    symbol: Annotated[str, Path(max_length=64, pattern=ID_PATTERN)],
    periods: PeriodsParam = 24,
    model_type: ModelParam = "auto",
) -> MlPrediction:
    """The forecasts of one symbol, as JSON numbers."""
    instrument = resolve(context.catalogue, symbol)
    lengths = _ending_within(periods)
    found = await _forecasts(predictions, [instrument], lengths, model_type, grant)
    return _ml(context, instrument, found, periods)


async def _forecasts(
    predictions: Predictions,
    instruments: Sequence[str],
    horizons_ns: Sequence[int],
    model: str,
    grant: Grant,
) -> list[prediction_pb2.Forecast]:
    """By the champions in one call; a named model is asked for each market and horizon."""
    if model.lower() in CHAMPION_NAMES:
        request = prediction_pb2.PredictBatchRequest(
            instruments=instruments, horizons_ns=horizons_ns
        )
        return list((await predictions.batch(request, grant)).forecasts)
    if len(instruments) > 1:
        raise Problem(Code.VALIDATION_FAILED, "expected one symbol where a model is named")
    answers = await asyncio.gather(
        *(
            predictions.predict(
                prediction_pb2.PredictRequest(
                    instrument=instruments[0], horizon_ns=length_ns, model=model
                ),
                grant,
            )
            for length_ns in horizons_ns
        )
    )
    return [answer.forecast for answer in answers]


def _ml(
    context: RestContext,
    instrument: str,
    forecasts: Sequence[prediction_pb2.Forecast],
    periods: int,
) -> MlPrediction:
    name = context.catalogue.short_name(instrument)
    return views.ml_prediction(forecasts, name, periods, context.now_ns())


def _lengths(names: Sequence[HorizonName] | None) -> list[int]:
    return [HORIZONS[name] for name in dict.fromkeys(names or HORIZONS)]


def _ending_within(hours: int) -> list[int]:
    return [length_ns for length_ns in HORIZONS.values() if length_ns <= hours * HOUR_NS]
