"""`/v1/signals`: scores, why they are what they are, and the weights behind them."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from teleglas.signal.v1 import signal_pb2
from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.ports import Signals
from teleglas_gateway.rest import views_alerts as views
from teleglas_gateway.rest.backends import SignalsPort
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.guard import context_of, guarded
from teleglas_gateway.rest.models import Page
from teleglas_gateway.rest.models_alerts import Explanation, Signal, Weights
from teleglas_gateway.rest.params import (
    ID_PATTERN,
    TEXT_PATTERN,
    CursorParam,
    FromParam,
    LimitParam,
    SymbolParam,
    SymbolsParam,
    ToParam,
    next_link,
    page_token,
    parse_time,
    resolve,
)

__all__ = ["router"]

router = APIRouter(prefix="/v1/signals", tags=["signals"])
Reader = Annotated[Grant, Depends(guarded(Scope.SIGNAL_READ))]
Context = Annotated[RestContext, Depends(context_of)]
MAX_MARKETS = 100
"""Of one answer without a symbol: each is a question of its own to the scorer."""
AT_ONCE = 8


class NewWeight(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: str = Field(min_length=1, max_length=64, pattern=TEXT_PATTERN)
    weight: float = Field(ge=-100, le=100, allow_inf_nan=False)


class NewWeights(BaseModel):
    """All layers, and why they change; both are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: list[NewWeight] = Field(min_length=1, max_length=32)
    reason: str = Field(min_length=1, max_length=500, pattern=TEXT_PATTERN)


@router.get("")
async def list_latest(
    context: Context,
    grant: Reader,
    signals: SignalsPort,
    symbol: SymbolsParam = None,
    as_of: Annotated[
        str | None, Query(max_length=40, description="Scores as they were known at this time")
    ] = None,
) -> Page[Signal]:
    """The latest score of each symbol; without one, of each market that has had one lately."""
    at = parse_time(as_of, "as_of")
    if symbol:
        instruments = [resolve(context.catalogue, name) for name in symbol]
    else:
        instruments = context.scored()[:MAX_MARKETS]
    limit = asyncio.Semaphore(AT_ONCE)
    found = await asyncio.gather(
        *(_latest(signals, name, at, grant, limit) for name in dict.fromkeys(instruments))
    )
    return Page(data=[views.signal(score) for score in found if score is not None])


async def _latest(
    signals: Signals, instrument: str, as_of: int, grant: Grant, limit: asyncio.Semaphore
) -> signal_pb2.SignalScore | None:
    async with limit:
        try:
            answer = await signals.score(
                signal_pb2.GetScoreRequest(instrument=instrument, as_of=as_of), grant
            )
        except Problem as problem:
            if problem.code is Code.NO_DATA:
                return None
            raise
    return answer.score


@router.get("/history")
async def list_history(
    request: Request,
    context: Context,
    grant: Reader,
    signals: SignalsPort,
    symbol: SymbolParam,
    from_time: FromParam = None,
    to: ToParam = None,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[Signal]:
    """The scores of one symbol, the newest first."""
    instrument = resolve(context.catalogue, symbol)
    query = ("signals", instrument, from_time, to)
    answer = await signals.scores(
        signal_pb2.ListScoresRequest(
            instrument=instrument,
            ts_from=parse_time(from_time, "from"),
            ts_to=parse_time(to, "to"),
            page_size=limit,
            page_token=page_token(cursor, *query),
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    rows = [views.signal(score) for score in answer.scores]
    return Page(data=rows, next_cursor=following, next=link)


@router.get("/weights")
async def get_weights(
    grant: Reader,
    signals: SignalsPort,
    version: Annotated[int, Query(ge=0, le=2**32 - 1, description="0: the one in force")] = 0,
) -> Weights:
    """How much each layer counts."""
    answer = await signals.weights(signal_pb2.GetWeightsRequest(version=version), grant)
    return views.weights(answer.weights)


@router.put("/weights")
async def set_weights(
    grant: Annotated[Grant, Depends(guarded(Scope.SIGNAL_ADMIN))],
    signals: SignalsPort,
    wanted: NewWeights,
) -> Weights:
    """A new version of the weights, in force from the next score on; who and why are kept."""
    answer = await signals.set_weights(
        signal_pb2.SetWeightsRequest(
            layers=[
                signal_pb2.LayerWeight(layer=one.layer, weight=one.weight) for one in wanted.layers
            ],
            reason=wanted.reason,
        ),
        grant,
    )
    return views.weights(answer.weights)


@router.get("/{score_id:path}/explain")
async def explain(
    grant: Reader,
    signals: SignalsPort,
    score_id: Annotated[str, Path(max_length=256, pattern=ID_PATTERN)],
) -> Explanation:
    """Why a score is what it is: a sentence a layer, its inputs, how far topics had been read."""
    answer = await signals.explain(signal_pb2.ExplainRequest(id=score_id), grant)
    return views.explanation(answer)
