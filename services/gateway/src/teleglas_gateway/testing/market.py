"""market-data as the gateway sees it, with one of everything."""

from __future__ import annotations

from teleglas.market.v1 import candle_pb2, service_pb2, ticker_pb2, types_pb2
from teleglas_gateway.domain.keys import Grant
from teleglas_gateway.testing.records import (
    T0_NS,
    book_snapshot,
    candle,
    instrument,
    trade_batch,
)

__all__ = ["FakeMarketData", "one_ticker"]


class FakeMarketData:
    """Keeps the last request; raises `failure` where there is one."""

    def __init__(self) -> None:
        self.asked: object = None
        self.granted: Grant | None = None
        self.failure: Exception | None = None

    async def markets(
        self, request: service_pb2.ListMarketsRequest, grant: Grant
    ) -> service_pb2.ListMarketsResponse:
        self._note(request, grant)
        return service_pb2.ListMarketsResponse(instruments=[instrument()])

    async def ticker(
        self, request: service_pb2.GetTickerRequest, grant: Grant
    ) -> service_pb2.GetTickerResponse:
        self._note(request, grant)
        return one_ticker()

    async def tickers(
        self, request: service_pb2.ListTickersRequest, grant: Grant
    ) -> service_pb2.ListTickersResponse:
        self._note(request, grant)
        return service_pb2.ListTickersResponse(tickers=[one_ticker()])

    async def candles(
        self, request: service_pb2.ListCandlesRequest, grant: Grant
    ) -> service_pb2.ListCandlesResponse:
        self._note(request, grant)
        last = bool(request.page_token)
        return service_pb2.ListCandlesResponse(
            candles=[candle(1 if last else 0)], next_page_token="" if last else "2"
        )

    async def trades(
        self, request: service_pb2.ListTradesRequest, grant: Grant
    ) -> service_pb2.ListTradesResponse:
        self._note(request, grant)
        return service_pb2.ListTradesResponse(batch=trade_batch(1, 2, venue=request.venue))

    async def book(
        self, request: service_pb2.GetBookRequest, grant: Grant
    ) -> service_pb2.GetBookResponse:
        self._note(request, grant)
        return service_pb2.GetBookResponse(book=book_snapshot(7, [(100, 5)], [(101, 6)]))

    def _note(self, request: object, grant: Grant) -> None:
        self.granted = grant
        self.asked = request
        if self.failure is not None:
            raise self.failure


def one_ticker() -> service_pb2.GetTickerResponse:
    return service_pb2.GetTickerResponse(
        summary=candle_pb2.Summary(
            venue="composite",
            instrument="BTC-USDT",
            price_exponent=-2,
            size_exponent=-5,
            price=6_183_763,
            change_24h=0.0123,
            volume_24h=2_154_000_000,
            bid=6_183_763,
            ask=6_183_764,
            spread=1,
            ts_event=T0_NS,
            window_s=86_400,
        ),
        ticker=ticker_pb2.Ticker(
            venue="binance",
            instrument="BTC-USDT",
            price_exponent=-2,
            size_exponent=-5,
            bid_price=6_183_763,
            funding_rate=types_pb2.Decimal(mantissa=-1, exponent=-4),
            ts_event=T0_NS,
        ),
    )
