"""A recorded Binance market, spot or USD-M, as its WebSocket and REST servers ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice, takewhile
from typing import Any, overload

import msgspec

from teleglas_sim.replay.binance_book import BinanceBook
from teleglas_sim.replay.binance_trades import Tape, aggregate, fill
from teleglas_sim.replay.feed import ReplayFeed
from teleglas_sim.replay.instruments import binance_symbol
from teleglas_sim.replay.play import Play
from teleglas_sim.replay.streams import BINANCE_USDM, Channel, binance_family
from teleglas_sim.server import FaultBoard, FrameSink, RestAnswer

__all__ = ["BinanceReplayFeed"]

_MAX_TRADES = 1000
_LATEST_MS = 1 << 62
_HEAD = b'{"stream":"%b","data":'
Query = Mapping[str, str]


class _RefusedError(Exception):
    """A REST call that the venue answers with an error of its own."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = RestAnswer(msgspec.json.encode({"code": code, "msg": message}), status)


class BinanceReplayFeed(ReplayFeed):
    """REST under `/api/v3` or `/fapi/v1`; what was not recorded (open interest, …) is a 404."""

    def __init__(self, play: Play, venue: str, faults: FaultBoard) -> None:
        super().__init__(play, venue, faults)
        self._root = "/fapi/v1" if venue == BINANCE_USDM else "/api/v3"
        self._symbols = play.timeline.symbols(venue)
        self._books: dict[str, BinanceBook] = {}
        self._info: bytes | None = None
        self._head_sizes: dict[int, int] = {}
        self._by_name: dict[str, int] = {}
        self._by_family: dict[str, int] = {}
        for stream_id, stream in enumerate(play.timeline.streams):
            if stream.venue == venue:
                self._by_name[stream.name] = stream_id
                self._by_family.setdefault(stream.family, stream_id)
                self._head_sizes[stream_id] = len(_HEAD % stream.name.encode())
        self._routes: dict[str, Callable[[Query], RestAnswer]] = {
            "ping": lambda _query: _json({}),
            "time": lambda _query: _json({"serverTime": self.now_ms}),
            "exchangeInfo": self._exchange_info,
            "depth": self._depth,
            "trades": self._recent_trades,
            "historicalTrades": self._older_trades,
            "aggTrades": self._agg_trades,
        }

    def knows(self, name: str) -> bool:
        return self.resolve(name) is not None

    def resolve(self, name: str) -> int | None:
        exact = self._by_name.get(name)
        return self._by_family.get(binance_family(name)) if exact is None else exact

    async def subscribe(self, stream: str, sink: FrameSink) -> None:
        await super().subscribe(stream, sink)
        stream_id = self.resolve(stream)
        if stream_id is not None:
            recorded = self.play.timeline.streams[stream_id]
            if recorded.channel is Channel.DEPTH:
                self.play.hold.expect(stream_id, self._book_name(recorded.symbol))

    def payload(self, frame: bytes, stream_id: int, name: str) -> bytes:  # noqa: ARG002
        return frame[self._head_sizes[stream_id] : -1]

    def opening(self, stream_id: int) -> bytes | None:  # noqa: ARG002
        return None

    def keep_up(self) -> None:
        for book in self._books.values():
            book.advance_to(self.play.position)

    async def answer(self, path: str, query: Query) -> RestAnswer:
        route = self._routes.get(path.removeprefix(f"{self._root}/"))
        if route is None or not path.startswith(self._root):
            body = {"code": -5000, "msg": f"Path {path}, Method GET is invalid"}
            return RestAnswer(msgspec.json.encode(body), 404)
        try:
            return route(query)
        except _RefusedError as refused:
            return refused.answer

    def _exchange_info(self, query: Query) -> RestAnswer:
        if self._info is None:
            self._info = self._all_symbols()
        wanted = _wanted(query)
        if wanted is None:
            return RestAnswer(self._info)
        info = msgspec.json.decode(self._info)
        info["symbols"] = [entry for entry in info["symbols"] if entry["symbol"] in wanted]
        if len(info["symbols"]) < len(wanted):
            raise _RefusedError(400, -1121, "Invalid symbol.")
        return _json(info)

    def _all_symbols(self) -> bytes:
        """The instruments of the capture, as recorded or else as their frames tell: a client that
        follows all that is listed must not wait for streams that do not exist.
        """
        info: dict[str, Any] = {
            "timezone": "UTC",
            "serverTime": self.now_ms,
            "rateLimits": [],
            "exchangeFilters": [],
        }
        known: dict[str, Any] = {}
        for body in self.recorded(f"{self._root}/exchangeInfo"):
            info = msgspec.json.decode(body)
            for entry in info["symbols"]:
                known.setdefault(entry["symbol"], entry)
        entries = [
            known.get(symbol) or binance_symbol(self.play.timeline, self.venue, symbol)
            for symbol in self._symbols
        ]
        return msgspec.json.encode(info | {"symbols": entries})

    def _depth(self, query: Query) -> RestAnswer:
        symbol = self._symbol(query)
        limit = _number(query, "limit", 500 if self.venue == BINANCE_USDM else 100)
        book = self._books.get(symbol)
        if book is None:
            book = BinanceBook(self.play.timeline, self.venue, symbol)
            self._books[symbol] = book
        book.advance_to(self.play.position)
        self.play.hold.answered(self._book_name(symbol))
        depth = book.depth(limit)
        body: dict[str, Any] = {"lastUpdateId": depth.last_update_id}
        if self.venue == BINANCE_USDM:
            body |= {"E": depth.event_ms, "T": depth.transaction_ms}
        return _json(body | {"bids": depth.bids, "asks": depth.asks})

    def _recent_trades(self, query: Query) -> RestAnswer:
        return self._fills(query, None)

    def _older_trades(self, query: Query) -> RestAnswer:
        if self.venue == BINANCE_USDM:
            raise _RefusedError(401, -2014, "API-key format invalid.")
        return self._fills(query, _number(query, "fromId", None))

    def _fills(self, query: Query, from_id: int | None) -> RestAnswer:
        """The first fills from `from_id` on, or the newest ones; oldest first either way."""
        limit = min(_number(query, "limit", 500), _MAX_TRADES)
        tape = self._tape(Channel.TRADES, query)
        is_usdm = self.venue == BINANCE_USDM
        if from_id is not None:
            forwards = (fill(event, is_usdm=is_usdm) for event in tape.since(from_id))
            return _json(list(islice(filter(None, forwards), limit)))
        backwards = (fill(event, is_usdm=is_usdm) for event in tape.newest_first())
        return _json(list(islice(filter(None, backwards), limit))[::-1])

    def _agg_trades(self, query: Query) -> RestAnswer:
        limit = min(_number(query, "limit", 500), _MAX_TRADES)
        from_id = _number(query, "fromId", None)
        start_ms, end_ms = _number(query, "startTime", None), _number(query, "endTime", None)
        tape = self._tape(Channel.AGG_TRADES, query)
        if from_id is not None:
            found = list(islice(tape.since(from_id), limit))
        elif start_ms is None and end_ms is None:
            found = list(islice(tape.newest_first(), limit))[::-1]
        else:
            last_ms = _LATEST_MS if end_ms is None else end_ms
            later = takewhile(lambda event: event["T"] <= last_ms, tape.since_ms(start_ms or 0))
            found = list(islice(later, limit))
        return _json([aggregate(event) for event in found])

    def _tape(self, channel: Channel, query: Query) -> Tape:
        stream_id = self.play.timeline.find(self.venue, self._symbol(query), channel)
        return Tape(self.play.timeline, stream_id, self.play.position)

    def _book_name(self, symbol: str) -> str:
        return f"{self.venue}:{symbol}"

    def _symbol(self, query: Query) -> str:
        symbol = query.get("symbol")
        if symbol is None:
            message = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            raise _RefusedError(400, -1102, message)
        if symbol not in self._symbols:
            raise _RefusedError(400, -1121, "Invalid symbol.")
        return symbol


def _wanted(query: Query) -> set[str] | None:
    if "symbol" in query:
        return {query["symbol"]}
    if "symbols" not in query:
        return None
    try:
        return set(msgspec.json.decode(query["symbols"], type=list[str]))
    except msgspec.DecodeError as error:
        message = "Illegal characters found in parameter 'symbols'; legal range is '[…]'."
        raise _RefusedError(400, -1100, message) from error


@overload
def _number(query: Query, name: str, default: int) -> int: ...
@overload
def _number(query: Query, name: str, default: None) -> int | None: ...
def _number(query: Query, name: str, default: int | None) -> int | None:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        message = (
            f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
        raise _RefusedError(400, -1100, message)
    return int(text)


def _json(body: object) -> RestAnswer:
    return RestAnswer(msgspec.json.encode(body))
