"""`/v1/markets`, `/v1/tickers`, `/v1/candles`, `/v1/trades` and `/v1/book`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request

from teleglas.market.v1 import service_pb2
from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.rest import views
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.guard import context_of, guarded
from teleglas_gateway.rest.models import Book, Candle, Market, MarketTicker, Page, Trade
from teleglas_gateway.rest.params import (
    CursorParam,
    FromParam,
    LimitParam,
    SymbolParam,
    ToParam,
    VenueParam,
    next_link,
    page_token,
    parse_time,
    resolve,
    resolve_venue,
)

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["market data"])
Reader = Annotated[Grant, Depends(guarded(Scope.MARKET_READ))]
Context = Annotated[RestContext, Depends(context_of)]
Interval = Literal["1s", "1m", "5m", "15m", "1h", "4h", "1d", "1w"]
Order = Annotated[Literal["asc", "desc"], Query(description="By time")]


@router.get("/markets")
async def list_markets(
    request: Request,
    context: Context,
    grant: Reader,
    venue: VenueParam = None,
    base: Annotated[str | None, Query(max_length=24, description="Base asset, as `BTC`")] = None,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[Market]:
    """Every instrument of every venue."""
    query = ("markets", venue, base)
    answer = await context.market_data.markets(
        service_pb2.ListMarketsRequest(
            venue=venue or "",
            base=(base or "").upper(),
            page_size=limit,
            page_token=page_token(cursor, *query),
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    rows = [views.market(instrument) for instrument in answer.instruments]
    return Page(data=rows, next_cursor=following, next=link)


@router.get("/tickers")
async def list_tickers(
    request: Request,
    context: Context,
    grant: Reader,
    symbol: Annotated[str | None, Query(max_length=64, description="None: every market")] = None,
    venue: VenueParam = None,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[MarketTicker]:
    """What markets look like now. With a symbol and no venue: the composite."""
    if symbol is not None:
        instrument = resolve(context.catalogue, symbol)
        place = resolve_venue(context.catalogue, instrument, venue, composite=True)
        one = await context.market_data.ticker(
            service_pb2.GetTickerRequest(venue=place, instrument=instrument), grant
        )
        return Page(data=[views.market_ticker(one, place, instrument, context.now_ns())])
    query = ("tickers", venue)
    answer = await context.market_data.tickers(
        service_pb2.ListTickersRequest(
            venue=venue or "", page_size=limit, page_token=page_token(cursor, *query)
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    rows = [
        views.market_ticker(
            one,
            one.summary.venue or one.ticker.venue,
            one.summary.instrument or one.ticker.instrument,
            context.now_ns(),
        )
        for one in answer.tickers
    ]
    return Page(data=rows, next_cursor=following, next=link)


@router.get("/candles")
async def list_candles(
    request: Request,
    context: Context,
    grant: Reader,
    symbol: SymbolParam,
    interval: Interval = "1m",
    venue: VenueParam = None,
    from_time: FromParam = None,
    to: ToParam = None,
    order: Order = "desc",
    forming: Annotated[bool, Query(description="Also the candle that is forming now")] = False,
    as_of: Annotated[
        str | None, Query(max_length=40, description="Candles as they were known at this time")
    ] = None,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[Candle]:
    """Candles by the time they open, of the composite unless a venue is named."""
    instrument = resolve(context.catalogue, symbol)
    place = resolve_venue(context.catalogue, instrument, venue, composite=True)
    query = ("candles", place, instrument, interval, from_time, to, order, forming, as_of)
    answer = await context.market_data.candles(
        service_pb2.ListCandlesRequest(
            venue=place,
            instrument=instrument,
            interval=interval,
            ts_from=parse_time(from_time, "from"),
            ts_to=parse_time(to, "to"),
            page_size=limit,
            page_token=page_token(cursor, *query),
            descending=order == "desc",
            include_forming=forming,
            as_of=parse_time(as_of, "as_of"),
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    rows = [views.candle(candle) for candle in answer.candles]
    return Page(data=rows, next_cursor=following, next=link)


@router.get("/trades")
async def list_trades(
    request: Request,
    context: Context,
    grant: Reader,
    symbol: SymbolParam,
    venue: VenueParam = None,
    from_time: FromParam = None,
    to: ToParam = None,
    order: Order = "desc",
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Page[Trade]:
    """Trades of one venue; without one, of the first venue that lists the symbol."""
    instrument = resolve(context.catalogue, symbol)
    place = resolve_venue(context.catalogue, instrument, venue, composite=False)
    query = ("trades", place, instrument, from_time, to, order)
    answer = await context.market_data.trades(
        service_pb2.ListTradesRequest(
            venue=place,
            instrument=instrument,
            ts_from=parse_time(from_time, "from"),
            ts_to=parse_time(to, "to"),
            page_size=limit,
            page_token=page_token(cursor, *query),
            descending=order == "desc",
        ),
        grant,
    )
    following, link = next_link(request, answer.next_page_token, *query)
    rows = [views.trade(answer.batch, trade, place, instrument) for trade in answer.batch.trades]
    return Page(data=rows, next_cursor=following, next=link)


@router.get("/book")
async def get_book(
    context: Context,
    grant: Reader,
    symbol: SymbolParam,
    venue: VenueParam = None,
    depth: Annotated[int, Query(ge=1, le=5000, description="Levels a side")] = 50,
) -> Book:
    """The book of one venue; without one, of the first venue that lists the symbol."""
    instrument = resolve(context.catalogue, symbol)
    place = resolve_venue(context.catalogue, instrument, venue, composite=False)
    answer = await context.market_data.book(
        service_pb2.GetBookRequest(venue=place, instrument=instrument, depth=depth), grant
    )
    return views.book(answer, place, instrument)
