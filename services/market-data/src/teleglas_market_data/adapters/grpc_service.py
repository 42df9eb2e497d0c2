"""The gRPC service MarketData."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import grpc

from teleglas.market.v1 import service_pb2 as pb
from teleglas.market.v1.book_pb2 import BOOK_UPDATE_KIND_SNAPSHOT, BookUpdate
from teleglas.market.v1.candle_pb2 import Summary
from teleglas.market.v1.gap_pb2 import Gap
from teleglas.market.v1.instrument_pb2 import Instrument
from teleglas.market.v1.service_pb2_grpc import MarketDataServicer
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.types_pb2 import TIME_BASIS_EVENT
from teleglas_common.grpc_server import call_limit
from teleglas_common.paging import CursorError, decode_cursor, encode_cursor, page_size
from teleglas_common.principal import Authenticate, PrincipalError
from teleglas_market_data.adapters.candle_reader import CandleReader
from teleglas_market_data.adapters.messages import candle_message
from teleglas_market_data.adapters.queries import Page, Queries, trade_batch
from teleglas_market_data.adapters.requests import (
    InvalidRequestError,
    NotFoundError,
    Symbols,
    check_filters,
    levels_of,
    range_of,
)
from teleglas_market_data.live import Live, SlowReaderError
from teleglas_market_data.ports import Market, StoredCandle

__all__ = ["ERRORS", "MarketDataService"]

Context = grpc.aio.ServicerContext[Any, Any]

ERRORS: dict[type[Exception], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    CursorError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    PrincipalError: grpc.StatusCode.UNAUTHENTICATED,
    SlowReaderError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
}

FORMING_EVERY_S = 0.25
"""A forming candle goes to a stream at most this often."""
MAX_DEPTH = 5_000


class MarketDataService(MarketDataServicer):
    """Closed candles, trades and gaps come from the database; what moves comes from the shards."""

    def __init__(
        self,
        queries: Queries,
        live: Live,
        symbols: Symbols,
        authenticate: Authenticate,
        default_deadline_s: float,
    ) -> None:
        self._queries = queries
        self._live = live
        self._symbols = symbols
        self._authenticate = authenticate
        self._default_deadline_s = default_deadline_s
        self._candles = CandleReader(queries, live)

    async def ListMarkets(  # noqa: N802
        self, request: pb.ListMarketsRequest, context: Context
    ) -> pb.ListMarketsResponse:
        async with self._call(context):
            check_filters(request.venue, request.base)
            scope = f"markets:{request.venue}:{request.base}"
            size = page_size(request.page_size)
            after = _names(scope, request.page_token)
            rows = await self._queries.markets(request.venue, request.base, after, size + 1)
            return pb.ListMarketsResponse(
                instruments=[Instrument.FromString(row["message"]) for row in rows[:size]],
                next_page_token=_next_market(scope, rows, size),
            )

    async def GetTicker(  # noqa: N802
        self, request: pb.GetTickerRequest, context: Context
    ) -> pb.GetTickerResponse:
        async with self._call(context):
            market = self._symbols.market(request.venue, request.instrument)
            ticker, summary = self._live.ticker(market), self._live.summary(market)
            if ticker is None or summary is None:
                row = await self._queries.ticker(market)
                if ticker is None and row is not None and row["ticker"] is not None:
                    ticker = Ticker.FromString(row["ticker"])
                if summary is None and row is not None and row["summary"] is not None:
                    summary = Summary.FromString(row["summary"])
            if ticker is None and summary is None:
                raise NotFoundError(f"expected a market with a ticker, was {':'.join(market)}")
            return pb.GetTickerResponse(ticker=ticker, summary=summary)

    async def ListTickers(  # noqa: N802
        self, request: pb.ListTickersRequest, context: Context
    ) -> pb.ListTickersResponse:
        async with self._call(context):
            check_filters(request.venue)
            scope = f"tickers:{request.venue}"
            size = page_size(request.page_size)
            after = _names(scope, request.page_token)
            rows = await self._queries.tickers(request.venue, after, size + 1)
            return pb.ListTickersResponse(
                tickers=[_ticker_response(row) for row in rows[:size]],
                next_page_token=_next_market(scope, rows, size),
            )

    async def ListCandles(  # noqa: N802
        self, request: pb.ListCandlesRequest, context: Context
    ) -> pb.ListCandlesResponse:
        async with self._call(context):
            market = self._symbols.market(request.venue, request.instrument)
            (level,) = levels_of([request.interval])
            begin, end = range_of(request.ts_from, request.ts_to)
            scope = f"candles:{':'.join(market)}:{request.interval}:{request.descending}"
            size = page_size(request.page_size)
            if request.page_token:
                (at,) = _numbers(scope, request.page_token, 1)
                begin, end = (begin, at) if request.descending else (at, end)
            page = Page(begin, end, size + 1, request.descending)
            found = await self._candles.read(market, level, page, request.as_of)
            candles = [candle_message(candle) for candle in found[:size]]
            token = ""
            if len(found) > size:
                mark = found[size - 1 if request.descending else size].bar.ts_open
                token = encode_cursor(scope, (mark,))
            forming = self._forming(request, market, level, page, is_last=not token)
            if forming is not None and request.descending:
                candles.insert(0, forming)
            elif forming is not None:
                candles.append(forming)
            return pb.ListCandlesResponse(candles=candles, next_page_token=token)

    async def ListTrades(  # noqa: N802
        self, request: pb.ListTradesRequest, context: Context
    ) -> pb.ListTradesResponse:
        async with self._call(context):
            market = self._symbols.market(request.venue, request.instrument)
            begin, end = range_of(request.ts_from, request.ts_to)
            scope = f"trades:{':'.join(market)}:{request.descending}"
            size = page_size(request.page_size)
            after = _trade_mark(scope, request.page_token)
            page = Page(begin, end, size + 1, request.descending)
            rows = await self._queries.trades(market, page, after)
            token = ""
            if len(rows) > size:
                last = rows[size - 1]
                position = (last["ts_event"], last["sequence"] or 0, last["trade_id"])
                token = encode_cursor(scope, position)
            return pb.ListTradesResponse(
                batch=trade_batch(market, rows[:size]), next_page_token=token
            )

    async def ListGaps(  # noqa: N802
        self, request: pb.ListGapsRequest, context: Context
    ) -> pb.ListGapsResponse:
        async with self._call(context):
            begin, end = range_of(request.ts_from, request.ts_to)
            check_filters(request.venue, request.instrument)
            scope = f"gaps:{request.venue}:{request.instrument}"
            size = page_size(request.page_size)
            after = _gap_mark(scope, request.page_token)
            page = Page(begin, end, size + 1)
            rows = await self._queries.gaps(request.venue, request.instrument, page, after)
            token = ""
            if len(rows) > size:
                last = rows[size - 1]
                token = encode_cursor(scope, (last["ts_from"], last["gap_id"]))
            gaps = [Gap.FromString(row["message"]) for row in rows[:size]]
            return pb.ListGapsResponse(gaps=gaps, next_page_token=token)

    async def GetBook(  # noqa: N802
        self, request: pb.GetBookRequest, context: Context
    ) -> pb.GetBookResponse:
        async with self._call(context):
            market = self._symbols.market(request.venue, request.instrument)
            if not 0 <= request.depth <= MAX_DEPTH:
                raise InvalidRequestError(
                    f"expected a depth from 0 to {MAX_DEPTH}, was {request.depth}"
                )
            found = self._live.book(market)
            if found is None:
                raise NotFoundError(
                    f"expected a market whose book is in sync here, was {':'.join(market)}"
                )
            bids, asks = found.book.levels(request.depth)
            return pb.GetBookResponse(
                book=BookUpdate(
                    venue=market[0],
                    instrument=market[1],
                    kind=BOOK_UPDATE_KIND_SNAPSHOT,
                    book_epoch=found.book.epoch,
                    sequence=found.book.sequence,
                    price_exponent=found.price_exponent,
                    size_exponent=found.size_exponent,
                    bid_prices=[price for price, _ in bids],
                    bid_sizes=[size for _, size in bids],
                    ask_prices=[price for price, _ in asks],
                    ask_sizes=[size for _, size in asks],
                    ts_event=found.book.ts_event,
                    ts_basis=TIME_BASIS_EVENT,
                )
            )

    async def StreamCandles(  # noqa: N802
        self, request: pb.StreamCandlesRequest, context: Context
    ) -> AsyncIterator[pb.StreamCandlesResponse]:
        self._authenticate(context)
        levels = levels_of(request.intervals)
        wants = self._symbols.filter(request.venue, request.instruments)
        with self._live.watch_candles(wants) as box:
            box.traded.update(market for market in self._live.markets() if wants(market))
            while True:
                closed = await box.take(FORMING_EVERY_S)
                for candle in closed:
                    if isinstance(candle, StoredCandle) and candle.level in levels:
                        yield pb.StreamCandlesResponse(candle=candle_message(candle))
                for candle in self._formed(box.take_traded(), levels):
                    message = candle_message(candle, is_closed=False)
                    yield pb.StreamCandlesResponse(candle=message)

    async def StreamSummaries(  # noqa: N802
        self, request: pb.StreamSummariesRequest, context: Context
    ) -> AsyncIterator[pb.StreamSummariesResponse]:
        self._authenticate(context)
        wants = self._symbols.filter(request.venue, request.instruments)
        with self._live.watch_summaries(wants) as box:
            while True:
                for summary in await box.take(None):
                    if isinstance(summary, Summary):
                        yield pb.StreamSummariesResponse(summary=summary)

    def _formed(self, markets: Collection[Market], levels: Collection[int]) -> list[StoredCandle]:
        made = [self._live.forming(market, level) for market in markets for level in levels]
        return [candle for candle in made if candle is not None]

    def _forming(
        self,
        request: pb.ListCandlesRequest,
        market: Market,
        level: int,
        page: Page,
        *,
        is_last: bool,
    ) -> Any:
        """The forming candle belongs at the newest end of the list, which is on one page only."""
        at_newest = not request.page_token if request.descending else is_last
        if not request.include_forming or request.as_of or not at_newest:
            return None
        found = self._candles.forming(market, level, page)
        return None if found is None else candle_message(found, is_closed=False)

    @asynccontextmanager
    async def _call(self, context: Context) -> AsyncIterator[None]:
        """One query: who asks is checked, and it ends when its caller does not wait any more."""
        self._authenticate(context)
        async with call_limit(context, self._default_deadline_s):
            yield


def _names(scope: str, token: str) -> tuple[str, str]:
    if not token:
        return "", ""
    position = decode_cursor(scope, token)
    if len(position) != 2:
        raise CursorError("expected a cursor of this list, was one of another")
    return str(position[0]), str(position[1])


def _numbers(scope: str, token: str, count: int) -> tuple[int, ...]:
    position = decode_cursor(scope, token)
    numbers = tuple(part for part in position if isinstance(part, int))
    if len(position) != count or len(numbers) != count:
        raise CursorError("expected a cursor of this list, was one of another")
    return numbers


def _trade_mark(scope: str, token: str) -> tuple[int, int, str] | None:
    if not token:
        return None
    match decode_cursor(scope, token):
        case (int(ts), int(sequence), str(trade_id)):
            return ts, sequence, trade_id
    raise CursorError("expected a cursor of this list, was one of another")


def _gap_mark(scope: str, token: str) -> tuple[int, str]:
    if not token:
        return -1, ""
    match decode_cursor(scope, token):
        case (int(ts), str(gap_id)):
            return ts, gap_id
    raise CursorError("expected a cursor of this list, was one of another")


def _next_market(scope: str, rows: list[Any], size: int) -> str:
    if len(rows) <= size:
        return ""
    last = rows[size - 1]
    return encode_cursor(scope, (last["venue"], last["instrument"]))


def _ticker_response(row: Any) -> pb.GetTickerResponse:
    return pb.GetTickerResponse(
        ticker=Ticker.FromString(row["ticker"]) if row["ticker"] else None,
        summary=Summary.FromString(row["summary"]) if row["summary"] else None,
    )
