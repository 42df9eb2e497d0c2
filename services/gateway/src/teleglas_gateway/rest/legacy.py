"""The paths that clients of the predecessor use, in its shape: JSON numbers and short symbols."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from teleglas.market.v1 import service_pb2
from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.domain.symbols import COMPOSITE
from teleglas_gateway.rest import views
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.guard import context_of, guarded
from teleglas_gateway.rest.models import Raw
from teleglas_gateway.rest.params import SymbolParam, resolve

__all__ = ["router"]

router = APIRouter(tags=["predecessor"])


@router.get("/gpt/raw")
async def get_raw(
    context: Annotated[RestContext, Depends(context_of)],
    grant: Annotated[Grant, Depends(guarded(Scope.MARKET_READ))],
    symbol: SymbolParam,
) -> Raw:
    """What a market looks like now, over all venues."""
    instrument = resolve(context.catalogue, symbol)
    answer = await context.market_data.ticker(
        service_pb2.GetTickerRequest(venue=COMPOSITE, instrument=instrument), grant
    )
    return views.raw(answer, context.catalogue.short_name(instrument))
