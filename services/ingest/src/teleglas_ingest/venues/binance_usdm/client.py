"""Binance USD-M futures: two stream paths, one REST."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from teleglas_ingest.domain.continuity import Continuity, JoinRule
from teleglas_ingest.domain.events import BookChange, Channel, Ticker, Trade
from teleglas_ingest.domain.instrument import Instrument, Market
from teleglas_ingest.domain.numbers import RefusedError
from teleglas_ingest.ports import Control, Limits, Rest, Route, Stream, TradePage
from teleglas_ingest.venues import binance_wire as wire
from teleglas_ingest.venues.binance_usdm import mapping
from teleglas_ingest.venues.binance_usdm.schemas import ExchangeInfo, OpenInterestBody

__all__ = ["BinanceUsdm"]

BOOK_LEVELS = 1000
RECENT_TRADES = 1000

PUBLIC = "/public"
"""What the matching engine pushes. On the other path these are acknowledged and stay silent."""
MARKET = "/market"
"""What is computed: mark prices, 24 h tickers, liquidations."""

_ROUTES: dict[str, Callable[[Market], Route]] = {
    "trade": mapping.trade_route,
    "depth@100ms": mapping.depth_route,
    "bookTicker": mapping.book_ticker_route,
    "ticker": mapping.ticker_route,
    "markPrice@1s": mapping.mark_price_route,
    "forceOrder": mapping.force_order_route,
}


class BinanceUsdm:
    name = "binance-usdm"
    limits = Limits(
        streams_per_connection=200,
        streams_per_request=100,
        messages_per_s=8.0,
        connects=300,
        connects_per_s=1.0,
        max_age_s=23 * 3600.0,
    )
    rule: Continuity = JoinRule()
    book_in_band = False
    contiguous = False
    open_interest_by_stream = False

    key = staticmethod(wire.frame_key)

    def __init__(self, rest: Rest, ws_url: str) -> None:
        self._rest = rest
        self._ws_url = ws_url.rstrip("/")
        self._info = msgspec.json.Decoder(ExchangeInfo)
        self._book = msgspec.json.Decoder(wire.BookBody)
        self._trades = msgspec.json.Decoder(list[wire.RestTrade])
        self._interest = msgspec.json.Decoder(OpenInterestBody)

    def url(self, path: str) -> str:
        return f"{self._ws_url}{path}/stream"

    def streams(self, market: Market, channels: Sequence[Channel]) -> list[Stream]:
        symbol = market.instrument.venue_symbol
        name = symbol.lower()
        found: list[Stream] = []
        if Channel.TRADES in channels:
            found.append(
                Stream(f"{name}@trade", PUBLIC, Channel.TRADES, symbol, patience_s=60.0, probe=True)
            )
        if Channel.BOOKS in channels:
            found.append(
                Stream(f"{name}@depth@100ms", PUBLIC, Channel.BOOKS, symbol, patience_s=30.0)
            )
        if Channel.TICKERS in channels:
            found += [
                Stream(f"{name}@bookTicker", PUBLIC, Channel.TICKERS, symbol, patience_s=None),
                Stream(f"{name}@ticker", MARKET, Channel.TICKERS, symbol, patience_s=30.0),
                Stream(f"{name}@markPrice@1s", MARKET, Channel.TICKERS, symbol, patience_s=15.0),
            ]
        if Channel.LIQUIDATIONS in channels:
            found.append(
                Stream(f"{name}@forceOrder", MARKET, Channel.LIQUIDATIONS, symbol, patience_s=None)
            )
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
        body = await self._rest.get("/fapi/v1/exchangeInfo", {}, weight=1)
        found: list[Instrument] = []
        for row in self._info.decode(body).symbols:
            try:
                found.append(mapping.instrument(self.name, row))
            except RefusedError:
                continue  # a symbol without tick and lot does not trade
        return found

    async def book(self, market: Market, ts_ingest: int) -> BookChange | None:
        params = {"symbol": market.instrument.venue_symbol, "limit": str(BOOK_LEVELS)}
        body = await self._rest.get("/fapi/v1/depth", params, weight=20)
        instrument = market.instrument
        parse = wire.level_parser(market, -instrument.price_exponent, -instrument.size_exponent)
        return wire.book_change(market, self._book.decode(body), parse, ts_ingest)

    async def trades(self, market: Market, first: int, last: int, ts_ingest: int) -> TradePage:
        """The newest thousand fills are all that needs no key: what is older cannot be had."""
        trades = await self._recent(market, RECENT_TRADES, ts_ingest)
        if not trades:
            return TradePage([], first, first - 1)
        wanted = [trade for trade in trades if first <= trade.sequence <= last]
        # A row list shorter than the limit is the whole history, so nothing before it is missing.
        oldest = trades[0].sequence if len(trades) >= RECENT_TRADES else first
        return TradePage(wanted, max(first, oldest), min(last, trades[-1].sequence))

    async def newest_trade(self, market: Market, ts_ingest: int) -> Trade | None:
        trades = await self._recent(market, 1, ts_ingest)
        return trades[-1] if trades else None

    async def open_interest(self, market: Market, ts_ingest: int) -> Ticker | None:
        params = {"symbol": market.instrument.venue_symbol}
        body = await self._rest.get("/fapi/v1/openInterest", params, weight=1)
        return mapping.open_interest(market, self._interest.decode(body), ts_ingest)

    async def _recent(self, market: Market, limit: int, ts_ingest: int) -> list[Trade]:
        params = {"symbol": market.instrument.venue_symbol, "limit": str(limit)}
        body = await self._rest.get("/fapi/v1/trades", params, weight=5)
        return [mapping.rest_trade(market, row, ts_ingest) for row in self._trades.decode(body)]
