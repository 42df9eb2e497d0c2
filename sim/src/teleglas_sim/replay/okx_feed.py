"""Recorded OKX channels, as the OKX WebSocket and REST server asks for them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from teleglas_sim.replay.feed import ReplayFeed
from teleglas_sim.replay.instruments import okx_instrument
from teleglas_sim.replay.okx_book import OkxBook
from teleglas_sim.replay.play import Play
from teleglas_sim.replay.streams import OKX, Channel, stream_key
from teleglas_sim.server import FaultBoard, RestAnswer

__all__ = ["OkxReplayFeed"]

Query = Mapping[str, str]
_INSTRUMENTS = "/api/v5/public/instruments"
_CHANNELS = frozenset(
    (
        "trades",
        "trades-all",
        "books",
        "books5",
        "bbo-tbt",
        "tickers",
        "mark-price",
        "funding-rate",
        "open-interest",
    )
)
_TYPE_CHANNELS = frozenset(("liquidation-orders", "instruments"))
_TYPES = frozenset(("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION"))
_MAX_LEVELS = {"/api/v5/market/books": 400, "/api/v5/market/books-full": 5000}
_TRADE_FIELDS = ("instId", "side", "sz", "px", "tradeId", "ts")


class _RefusedError(Exception):
    """A REST call that OKX answers with a code of its own."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        body = {"code": code, "msg": message, "data": []}
        self.answer = RestAnswer(msgspec.json.encode(body), status)


class OkxReplayFeed(ReplayFeed):
    """Every channel of a recorded instrument is acknowledged; only recorded ones carry data.

    `trades-all` is served from a recording of `trades` when its frames are single fills, as they
    were before OKX merged them and counted.
    """

    def __init__(self, play: Play, faults: FaultBoard) -> None:
        super().__init__(play, OKX, faults)
        self._symbols = frozenset(play.timeline.symbols(OKX))
        self._books: dict[str, OkxBook] = {}
        self._instruments_known: list[dict[str, str]] | None = None
        self._by_name: dict[str, int] = {}
        for stream_id, stream in enumerate(play.timeline.streams):
            if stream.venue == OKX:
                self._by_name[stream.name] = stream_id
        self._serve_fills_as_all()
        self._routes: dict[str, Callable[[str, Query], list[Any]]] = {
            "/api/v5/public/time": self._time,
            _INSTRUMENTS: self._instruments,
            "/api/v5/market/books": self._levels,
            "/api/v5/market/books-full": self._levels,
            "/api/v5/market/trades": self._recent_trades,
            "/api/v5/market/history-trades": self._older_trades,
            "/api/v5/public/open-interest": self._open_interest,
        }

    def knows(self, name: str) -> bool:
        if name in self._by_name:
            return True
        channel, _, rest = name.partition(":")
        if channel in _TYPE_CHANNELS:
            return rest in _TYPES
        return channel in _CHANNELS and rest in self._symbols

    def resolve(self, name: str) -> int | None:
        return self._by_name.get(name)

    def payload(self, frame: bytes, stream_id: int, name: str) -> bytes:
        recorded = self.play.timeline.streams[stream_id].name
        if name == recorded:
            return frame
        old, new = (text.partition(":")[0].encode() for text in (recorded, name))
        return frame.replace(b'"channel":"%b"' % old, b'"channel":"%b"' % new, 1)

    def opening(self, stream_id: int) -> bytes | None:
        """The book at the present position, once its recorded snapshot lies behind."""
        stream = self.play.timeline.streams[stream_id]
        if stream.channel is not Channel.DEPTH:
            return None
        book = self._book(stream.symbol)
        first = self.play.timeline.frame(self.play.timeline.positions[stream_id][0])
        return book.snapshot(stream_key(first) or b"{}") if book.is_synced else None

    def keep_up(self) -> None:
        for book in self._books.values():
            book.advance_to(self.play.position)

    async def answer(self, path: str, query: Query) -> RestAnswer:
        route = self._routes.get(path)
        if route is None:
            return _RefusedError("404", f"Requested path: {path} not found", 404).answer
        try:
            body = {"code": "0", "msg": "", "data": route(path, query)}
        except _RefusedError as refused:
            return refused.answer
        return RestAnswer(msgspec.json.encode(body))

    def _serve_fills_as_all(self) -> None:
        for symbol in self._symbols:
            stream_id = self._by_name.get(f"trades:{symbol}")
            if stream_id is None or f"trades-all:{symbol}" in self._by_name:
                continue
            first = self.play.timeline.frame(self.play.timeline.positions[stream_id][0])
            if b'"count"' not in first:
                self._by_name[f"trades-all:{symbol}"] = stream_id

    def _book(self, symbol: str) -> OkxBook:
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = OkxBook(self.play.timeline, symbol)
        book.advance_to(self.play.position)
        return book

    def _time(self, _path: str, _query: Query) -> list[Any]:
        return [{"ts": str(self.now_ms)}]

    def _instruments(self, _path: str, query: Query) -> list[Any]:
        kind = query.get("instType")
        if kind not in _TYPES:
            raise _RefusedError("50014", "Parameter instType can not be empty.", 400)
        entries = [entry for entry in self._reference() if entry["instType"] == kind]
        wanted = query.get("instId")
        if wanted is None:
            return entries
        found = [entry for entry in entries if entry["instId"] == wanted]
        if not found:
            raise _RefusedError("51001", f"Instrument ID {wanted} does not exist.")
        return found

    def _reference(self) -> list[dict[str, str]]:
        """The instruments of the capture, as recorded or else as their frames tell."""
        if self._instruments_known is None:
            known: dict[str, dict[str, str]] = {}
            for body in self.recorded(_INSTRUMENTS):
                for entry in msgspec.json.decode(body)["data"]:
                    known.setdefault(entry["instId"], entry)
            entries = [
                known.get(symbol) or okx_instrument(self.play.timeline, symbol)
                for symbol in sorted(self._symbols)
            ]
            self._instruments_known = [entry for entry in entries if entry is not None]
        return self._instruments_known

    def _levels(self, path: str, query: Query) -> list[Any]:
        book = self._book(self._symbol(query))
        if not book.is_synced:
            return [{"asks": [], "bids": [], "ts": str(self.now_ms)}]
        bids, asks = book.levels(min(_number(query, "sz", 1), _MAX_LEVELS[path]))
        return [{"asks": asks, "bids": bids, "ts": book.ts_ms}]

    def _recent_trades(self, _path: str, query: Query) -> list[Any]:
        limit = min(_number(query, "limit", 100), 500)
        return self._trades(self._symbol(query), None, None, limit)

    def _older_trades(self, _path: str, query: Query) -> list[Any]:
        if query.get("type", "1") != "1":
            raise _RefusedError("51000", "Parameter type error")
        after = _number(query, "after", 0) or None
        before = _number(query, "before", 0) or None
        limit = min(_number(query, "limit", 100), 100)
        return self._trades(self._symbol(query), after, before, limit)

    def _trades(
        self, symbol: str, after: int | None, before: int | None, limit: int
    ) -> list[dict[str, str]]:
        """The newest trades before the position with ids below `after` and above `before`."""
        stream_id = self._by_name.get(f"trades-all:{symbol}", self._by_name.get(f"trades:{symbol}"))
        if stream_id is None:
            return []
        index = self.play.timeline.trades[stream_id]
        stop = index.released(self.play.position)
        if after is not None:
            stop = bisect_left(index.ids, after, 0, stop)
        start = max(0, stop - limit)
        if before is not None:
            start = max(start, bisect_left(index.ids, before + 1, 0, stop))
        wanted = {str(trade_id) for trade_id in index.ids[start:stop]}
        found = {
            trade["tradeId"]: {field: trade[field] for field in _TRADE_FIELDS}
            for position in dict.fromkeys(index.positions[start:stop])
            for trade in msgspec.json.decode(self.play.timeline.frame(position))["data"]
            if trade["tradeId"] in wanted
        }
        return list(reversed(found.values()))

    def _open_interest(self, _path: str, query: Query) -> list[Any]:
        """The newest recorded push of the channel, where it was recorded."""
        symbols = [query["instId"]] if "instId" in query else sorted(self._symbols)
        found: list[Any] = []
        for symbol in symbols:
            stream_id = self._by_name.get(f"open-interest:{symbol}")
            if stream_id is None:
                continue
            positions = self.play.timeline.positions[stream_id]
            played = bisect_left(positions, self.play.position)
            if played:
                frame = self.play.timeline.frame(positions[played - 1])
                found.extend(msgspec.json.decode(frame)["data"])
        return found

    def _symbol(self, query: Query) -> str:
        symbol = query.get("instId", "")
        if symbol not in self._symbols:
            raise _RefusedError("51001", f"Instrument ID {symbol} does not exist.")
        return symbol


def _number(query: Query, name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise _RefusedError("51000", f"Parameter {name} error")
    return int(text)
