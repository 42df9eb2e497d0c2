"""Binance spot: where to connect, how to subscribe, what REST gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from teleglas_ingest.domain.continuity import Continuity, RangeRule
from teleglas_ingest.domain.events import BookChange, Channel, Ticker, Trade
from teleglas_ingest.domain.instrument import Instrument, Market
from teleglas_ingest.domain.numbers import RefusedError
from teleglas_ingest.ports import Control, Limits, Rest, Route, Stream, TradePage
from teleglas_ingest.venues import binance_wire as wire
from teleglas_ingest.venues.binance import mapping
from teleglas_ingest.venues.binance.schemas import ExchangeInfo

__all__ = ["BinanceSpot"]

BOOK_LEVELS = 5000
TRADES_PER_REQUEST = 1000

_ROUTES: dict[str, Callable[[Market], Route]] = {
    "trade": mapping.trade_route,
    "depth@100ms": mapping.depth_route,
    "bookTicker": mapping.book_ticker_route,
    "ticker": mapping.ticker_route,
}


class BinanceSpot:
    name = "binance"
    limits = Limits(
        streams_per_connection=1024,
        streams_per_request=200,
        messages_per_s=4.0,
        connects=300,
        connects_per_s=1.0,
        max_age_s=23 * 3600.0,
    )
    rule: Continuity = RangeRule()
    book_in_band = False
    contiguous = True
    open_interest_by_stream = False

    key = staticmethod(wire.frame_key)

    def __init__(self, rest: Rest, ws_url: str) -> None:
        self._rest = rest
        self._ws_url = ws_url.rstrip("/")
        self._info = msgspec.json.Decoder(ExchangeInfo)
        self._book = msgspec.json.Decoder(wire.BookBody)
        self._trades = msgspec.json.Decoder(list[wire.RestTrade])

    def url(self, path: str) -> str:
        return f"{self._ws_url}{path}/stream"

    def streams(self, market: Market, channels: Sequence[Channel]) -> list[Stream]:
        symbol = market.instrument.venue_symbol
        name = symbol.lower()
        found: list[Stream] = []
        if Channel.TRADES in channels:
            found.append(
                Stream(f"{name}@trade", "", Channel.TRADES, symbol, patience_s=60.0, probe=True)
            )
        if Channel.BOOKS in channels:
            found.append(Stream(f"{name}@depth@100ms", "", Channel.BOOKS, symbol, patience_s=30.0))
        if Channel.TICKERS in channels:
            found.append(Stream(f"{name}@bookTicker", "", Channel.TICKERS, symbol, patience_s=None))
            found.append(Stream(f"{name}@ticker", "", Channel.TICKERS, symbol, patience_s=30.0))
        return found

    def subscribe(self, streams: Sequence[Stream], request_id: int) -> bytes:
        return wire.subscription("SUBSCRIBE", streams, request_id)

    def unsubscribe(self, streams: Sequence[Stream], request_id: int) -> bytes:
        return wire.subscription("UNSUBSCRIBE", streams, request_id)

    def routes(
        self, streams: Sequence[Stream], markets: Mapping[str, Market]
    ) -> dict[bytes, tuple[Stream, Route]]:
        return {
            wire.stream_key(stream): (
                stream,
                _ROUTES[stream.name.partition("@")[2]](markets[stream.venue_symbol]),
            )
            for stream in streams
        }

    def parsed_key(self, frame: bytes) -> bytes | None:
        return wire.parsed_key(frame)

    def control(self, frame: bytes) -> Control | None:
        return wire.control(frame)

    async def instruments(self) -> list[Instrument]:
        body = await self._rest.get("/api/v3/exchangeInfo", {}, weight=20)
        found: list[Instrument] = []
        for row in self._info.decode(body).symbols:
            try:
                found.append(mapping.instrument(self.name, row))
            except RefusedError:
                continue  # a symbol without tick and lot does not trade
        return found

    async def book(self, market: Market, ts_ingest: int) -> BookChange | None:
        params = {"symbol": market.instrument.venue_symbol, "limit": str(BOOK_LEVELS)}
        body = await self._rest.get("/api/v3/depth", params, weight=250)
        parse = wire.level_parser(market, mapping.PLACES, -market.instrument.size_exponent)
        return wire.book_change(market, self._book.decode(body), parse, ts_ingest)

    async def trades(self, market: Market, first: int, last: int, ts_ingest: int) -> TradePage:
        limit = min(TRADES_PER_REQUEST, last - first + 1)
        params = {
            "symbol": market.instrument.venue_symbol,
            "fromId": str(first),
            "limit": str(limit),
        }
        body = await self._rest.get("/api/v3/historicalTrades", params, weight=25)
        trades = [mapping.rest_trade(market, row, ts_ingest) for row in self._trades.decode(body)]
        wanted = [trade for trade in trades if first <= trade.sequence <= last]
        return TradePage(wanted, first, wanted[-1].sequence if wanted else first - 1)

    async def newest_trade(self, market: Market, ts_ingest: int) -> Trade | None:
        params = {"symbol": market.instrument.venue_symbol, "limit": "1"}
        body = await self._rest.get("/api/v3/trades", params, weight=25)
        rows = self._trades.decode(body)
        return mapping.rest_trade(market, rows[-1], ts_ingest) if rows else None

    async def open_interest(self, market: Market, ts_ingest: int) -> Ticker | None:  # noqa: ARG002
        return None
