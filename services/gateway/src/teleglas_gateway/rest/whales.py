"""`/v1/whales` and `/gpt/whale`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request

from teleglas.market.v1 import types_pb2
from teleglas.whale.v1 import whale_pb2
from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.rest import views_alerts as views
from teleglas_gateway.rest.backends import WhalesPort
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.guard import context_of, guarded
from teleglas_gateway.rest.models import Page
from teleglas_gateway.rest.models_alerts import GptWhales, Threshold, Whale, WhaleDetail
from teleglas_gateway.rest.params import (
    ID_PATTERN,
    CursorParam,
    FromParam,
    LimitParam,
    OptionalSymbolParam,
    ToParam,
    VenueParam,
    next_link,
    page_token,
    parse_time,
    resolve_optional,
    resolve_venue,
)

__all__ = ["predecessor", "router"]

router = APIRouter(prefix="/v1/whales", tags=["whales"])
predecessor = APIRouter(tags=["predecessor"])
Reader = Annotated[Grant, Depends(guarded(Scope.SIGNAL_READ))]
Context = Annotated[RestContext, Depends(context_of)]
KindName = Literal["sweep", "block", "sliced", "liquidation_cascade"]
KindParam = Annotated[KindName | None, Query(description="What kind of parent order")]
SideParam = Annotated[Literal["buy", "sell"] | None, Query(description="The taker's side")]
NotionalParam = Annotated[float, Query(ge=0, le=1e15, description="At least so much, in quote")]
SIDES = {"buy": types_pb2.SIDE_BUY, "sell": types_pb2.SIDE_SELL}


@router.get("")
async def list_whales(
    request: Request,
    context: Context,
    grant: Reader,
    whales: WhalesPort,
    symbol: OptionalSymbolParam = None,
    venue: VenueParam = None,
    kind: KindParam = None,
    side: SideParam = None,
    min_notional: NotionalParam = 0.0,
    from_time: FromParam = None,
    to: ToParam = None,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[Whale]:
    """Parent orders over their market's threshold, the newest first."""
    instrument, place = _market(context, symbol, venue)
    query = ("whales", instrument, place, kind, side, min_notional, from_time, to)
    answer = await whales.alerts(
        whale_pb2.ListAlertsRequest(
            venue=place,
            instrument=instrument,
            kind=_kind(kind),
            side=SIDES[side] if side else types_pb2.SIDE_UNSPECIFIED,
            min_notional=min_notional,
            ts_from=parse_time(from_time, "from"),
            ts_to=parse_time(to, "to"),
            page_size=limit,
            page_token=page_token(cursor, *query),
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    rows = [views.whale(alert) for alert in answer.alerts]
    return Page(data=rows, next_cursor=following, next=link)


@router.get("/thresholds")
async def list_thresholds(
    context: Context,
    grant: Reader,
    whales: WhalesPort,
    symbol: OptionalSymbolParam = None,
    venue: VenueParam = None,
) -> Page[Threshold]:
    """What a parent order must reach now in each market, or how far its warm-up is."""
    instrument, place = _market(context, symbol, venue)
    answer = await whales.thresholds(
        whale_pb2.ListThresholdsRequest(venue=place, instrument=instrument), grant
    )
    return Page(data=[views.threshold(found) for found in answer.thresholds])


@router.get("/{alert_id:path}")
async def get_whale(
    grant: Reader,
    whales: WhalesPort,
    alert_id: Annotated[str, Path(max_length=256, pattern=ID_PATTERN)],
) -> WhaleDetail:
    """One alert in its newest revision, with the ids of its fills."""
    answer = await whales.alert(whale_pb2.GetAlertRequest(id=alert_id), grant)
    return views.whale_detail(answer.alert)


@predecessor.get("/gpt/whale")
async def get_gpt_whale(
    context: Context,
    grant: Reader,
    whales: WhalesPort,
    symbol: OptionalSymbolParam = None,
    limit: Annotated[int, Query(ge=1, le=100, description="The newest so many")] = 20,
) -> GptWhales:
    """The newest whales in the predecessor's shape."""
    instrument = resolve_optional(context.catalogue, symbol)
    answer = await whales.alerts(
        whale_pb2.ListAlertsRequest(instrument=instrument, page_size=limit), grant
    )
    name = context.catalogue.short_name
    rows = [views.gpt_whale(alert, name(alert.instrument)) for alert in answer.alerts]
    return GptWhales(
        symbol=name(instrument) if instrument else None, count=len(rows), transactions=rows
    )


def _market(context: RestContext, symbol: str | None, venue: str | None) -> tuple[str, str]:
    """Empty names ask for all; alerts have no composite."""
    instrument = resolve_optional(context.catalogue, symbol)
    if venue is None or not instrument:
        return instrument, venue or ""
    return instrument, resolve_venue(context.catalogue, instrument, venue, composite=False)


def _kind(name: KindName | None) -> whale_pb2.WhaleKind.ValueType:
    if name is None:
        return whale_pb2.WHALE_KIND_UNSPECIFIED
    return whale_pb2.WhaleKind.Value(f"WHALE_KIND_{name.upper()}")
