"""OKX v5: two stream paths, fills on one of them, books whose snapshot comes in band."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from teleglas_ingest.domain.continuity import ChainRule, Continuity
from teleglas_ingest.domain.events import BookChange, Channel, Ticker, Trade
from teleglas_ingest.domain.instrument import Instrument, Kind, Market
from teleglas_ingest.domain.numbers import RefusedError
from teleglas_ingest.ports import (
    Ack,
    Control,
    Failure,
    Limits,
    Notice,
    Pong,
    Rest,
    RestError,
    Route,
    Stream,
    TradePage,
)
from teleglas_ingest.venues.okx import mapping
from teleglas_ingest.venues.okx.schemas import InstrumentsBody, InterestBody, Reply, TradesBody

__all__ = ["Okx"]

TRADES_PER_REQUEST = 100

PUBLIC = "/ws/v5/public"
BUSINESS = "/ws/v5/business"
_KINDS = {Kind.SPOT: "SPOT", Kind.PERPETUAL: "SWAP", Kind.FUTURE: "FUTURES"}
_START = len(b'{"arg":{"channel":"')

_ROUTES: dict[str, Callable[[Market], Route]] = {
    "trades-all": mapping.trade_route,
    "trades": mapping.trade_route,
    "books": mapping.book_route,
    "bbo-tbt": mapping.bbo_route,
    "tickers": mapping.ticker_route,
    "mark-price": mapping.mark_route,
    "funding-rate": mapping.funding_route,
    "open-interest": mapping.interest_route,
}


class Okx:
    name = "okx"
    limits = Limits(
        streams_per_connection=100,
        streams_per_request=100,
        messages_per_s=2.0,
        connects=3,
        connects_per_s=2.0,
        max_age_s=23 * 3600.0,
        ping_text=b"ping",
        ping_every_s=15.0,
    )
    rule: Continuity = ChainRule()
    book_in_band = True
    contiguous = True
    open_interest_by_stream = True

    def __init__(self, rest: Rest, ws_url: str) -> None:
        self._rest = rest
        self._ws_url = ws_url.rstrip("/")
        self._reply = msgspec.json.Decoder(Reply)
        self._instruments = msgspec.json.Decoder(InstrumentsBody)
        self._trades = msgspec.json.Decoder(TradesBody)
        self._interest = msgspec.json.Decoder(InterestBody)

    def url(self, path: str) -> str:
        return f"{self._ws_url}{path}"

    def streams(self, market: Market, channels: Sequence[Channel]) -> list[Stream]:
        symbol, kind = market.instrument.venue_symbol, market.instrument.kind
        found: list[Stream] = []
        if Channel.TRADES in channels:
            found.append(_stream("trades-all", symbol, BUSINESS, Channel.TRADES, 60.0, probe=True))
        if Channel.BOOKS in channels:
            found.append(_stream("books", symbol, PUBLIC, Channel.BOOKS, 90.0))
        if Channel.TICKERS in channels:
            found.append(_stream("tickers", symbol, PUBLIC, Channel.TICKERS, 120.0))
            if kind is not Kind.SPOT:
                found.append(_stream("mark-price", symbol, PUBLIC, Channel.TICKERS, 60.0))
                found.append(_stream("open-interest", symbol, PUBLIC, Channel.TICKERS, None))
            if kind is Kind.PERPETUAL:
                found.append(_stream("funding-rate", symbol, PUBLIC, Channel.TICKERS, 300.0))
        if Channel.LIQUIDATIONS in channels and kind is not Kind.SPOT:
            name = f"liquidation-orders:{_KINDS[kind]}"
            found.append(Stream(name, PUBLIC, Channel.LIQUIDATIONS, symbol, patience_s=None))
        return found

    def subscribe(self, streams: Sequence[Stream], request_id: int) -> bytes:
        return _request("subscribe", streams, request_id)

    def unsubscribe(self, streams: Sequence[Stream], request_id: int) -> bytes:
        return _request("unsubscribe", streams, request_id)

    def routes(
        self, streams: Sequence[Stream], markets: Mapping[str, Market]
    ) -> dict[bytes, tuple[Stream, Route]]:
        found: dict[bytes, tuple[Stream, Route]] = {}
        for stream in streams:
            channel, _, about = stream.name.partition(":")
            if channel == "liquidation-orders":
                route = mapping.liquidation_route(markets)
                found[f'{channel}","instType":"{about}"'.encode()] = (stream, route)
            else:
                found[f'{channel}","instId":"{about}"'.encode()] = (
                    stream,
                    _ROUTES[channel](markets[stream.venue_symbol]),
                )
        return found

    def key(self, frame: bytes) -> bytes:
        return frame[_START : frame.find(b"}", _START)]

    def parsed_key(self, frame: bytes) -> bytes | None:
        arg = self._reply.decode(frame).arg
        if arg is None:
            return None
        if arg.inst_id:
            return f'{arg.channel}","instId":"{arg.inst_id}"'.encode()
        return f'{arg.channel}","instType":"{arg.inst_type}"'.encode()

    def control(self, frame: bytes) -> Control | None:
        if frame == b"pong":
            return Pong()
        reply = self._reply.decode(frame)
        request_id = int(reply.id) if reply.id and reply.id.isdigit() else None
        if reply.event in {"subscribe", "unsubscribe"} and reply.arg is not None:
            about = reply.arg.inst_id or reply.arg.inst_type
            return Ack(request_id, f"{reply.arg.channel}:{about}")
        if reply.event == "error":
            return Failure(request_id, reply.code, reply.msg)
        if reply.event == "notice":
            return Notice(reply.msg)
        return Ack(None) if reply.event else None

    async def instruments(self) -> list[Instrument]:
        found: list[Instrument] = []
        for kind in _KINDS.values():
            body = await self._rest.get("/api/v5/public/instruments", {"instType": kind}, weight=1)
            decoded = self._instruments.decode(body)
            _check(decoded.code, decoded.msg)
            for row in decoded.data:
                try:
                    found.append(mapping.instrument(self.name, row))
                except RefusedError:
                    continue  # announced, without the values that trading needs
        return found

    async def book(self, market: Market, ts_ingest: int) -> BookChange | None:  # noqa: ARG002
        return None

    async def trades(self, market: Market, first: int, last: int, ts_ingest: int) -> TradePage:
        """The hundred fills up to `last`: pages go back in time from there."""
        params = {
            "instId": market.instrument.venue_symbol,
            "type": "1",
            "after": str(last + 1),
            "limit": str(min(TRADES_PER_REQUEST, last - first + 1)),
        }
        rows = await self._rows("/api/v5/market/history-trades", params, market, ts_ingest)
        wanted = [trade for trade in rows if first <= trade.sequence <= last]
        if not wanted:
            return TradePage([], last + 1, last)
        return TradePage(wanted, wanted[0].sequence, last)

    async def newest_trade(self, market: Market, ts_ingest: int) -> Trade | None:
        params = {"instId": market.instrument.venue_symbol, "limit": "1"}
        rows = await self._rows("/api/v5/market/trades", params, market, ts_ingest)
        return rows[-1] if rows else None

    async def open_interest(self, market: Market, ts_ingest: int) -> Ticker | None:
        kind = market.instrument.kind
        if kind is Kind.SPOT:
            return None
        params = {"instType": _KINDS[kind], "instId": market.instrument.venue_symbol}
        body = await self._rest.get("/api/v5/public/open-interest", params, weight=1)
        decoded = self._interest.decode(body)
        _check(decoded.code, decoded.msg)
        rows = decoded.data
        return mapping.interest_ticker(market, rows[0], ts_ingest) if rows else None

    async def _rows(
        self, path: str, params: Mapping[str, str], market: Market, ts_ingest: int
    ) -> list[Trade]:
        decoded = self._trades.decode(await self._rest.get(path, params, weight=1))
        _check(decoded.code, decoded.msg)
        trades = [mapping.trade(market, row, ts_ingest) for row in reversed(decoded.data)]
        for trade in trades:
            trade.backfilled = True
        return trades


def _stream(
    channel: str,
    symbol: str,
    path: str,
    kind: Channel,
    patience_s: float | None,
    *,
    probe: bool = False,
) -> Stream:
    return Stream(f"{channel}:{symbol}", path, kind, symbol, patience_s=patience_s, probe=probe)


def _request(op: str, streams: Sequence[Stream], request_id: int) -> bytes:
    args: list[dict[str, str]] = []
    for stream in streams:
        channel, _, about = stream.name.partition(":")
        field = "instType" if channel == "liquidation-orders" else "instId"
        args.append({"channel": channel, field: about})
    return msgspec.json.encode({"id": str(request_id), "op": op, "args": args})


def _check(code: str, message: str) -> None:
    if code != "0":
        raise RestError(f"expected code 0, was {code}: {message}", status=200)
