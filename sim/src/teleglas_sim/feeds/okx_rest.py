"""OKX's REST answers from the market's present state."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from teleglas_sim.feeds.okx_frames import OkxFrames
from teleglas_sim.feeds.perpetual import mark_of
from teleglas_sim.market.history import TradeRow
from teleglas_sim.market.market import Market
from teleglas_sim.market.matching import InstrumentMarket
from teleglas_sim.server import RestAnswer

__all__ = ["OkxRest"]

_Query = Mapping[str, str]


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        body = {"code": code, "msg": message, "data": []}
        self.answer = RestAnswer(msgspec.json.encode(body))


class OkxRest:
    """The public endpoints; times are the market's."""

    def __init__(self, market: Market, frames: dict[int, OkxFrames]) -> None:
        self._market = market
        self._frames = frames
        self._by_id = {item.inst_id: index for index, item in frames.items()}
        self._routes: dict[str, Callable[[_Query], bytes]] = {
            "/api/v5/public/time": lambda _query: b'{"ts":"%d"}' % market.now_ms,
            "/api/v5/public/instruments": self._instruments,
            "/api/v5/public/open-interest": self._open_interest,
            "/api/v5/public/mark-price": self._mark,
            "/api/v5/public/funding-rate": self._funding,
            "/api/v5/market/books": lambda query: self._book(query, 400),
            "/api/v5/market/books-full": lambda query: self._book(query, 5000),
            "/api/v5/market/trades": lambda query: self._trades(query, 500, backwards=False),
            "/api/v5/market/history-trades": lambda query: self._trades(query, 100, backwards=True),
            "/api/v5/market/ticker": self._ticker,
        }

    def answer(self, path: str, query: _Query) -> RestAnswer:
        """The envelope with the rows, or OKX's error."""
        handler = self._routes.get(path)
        if handler is None:
            body = {"code": "404", "msg": "Not Found", "data": []}
            return RestAnswer(msgspec.json.encode(body), 404)
        try:
            return RestAnswer(b'{"code":"0","msg":"","data":[%b]}' % handler(query))
        except _RefusedError as refused:
            return refused.answer

    def _find(self, query: _Query) -> tuple[OkxFrames, InstrumentMarket]:
        inst_id = query.get("instId")
        if not inst_id:
            raise _RefusedError("50014", "Parameter instId can not be empty.")
        index = self._by_id.get(inst_id)
        if index is None:
            raise _RefusedError("51001", f"Instrument ID, {inst_id}, does not exist.")
        return self._frames[index], self._market.instruments[index]

    def _some(self, query: _Query) -> list[tuple[OkxFrames, InstrumentMarket]]:
        """The named instrument, or all of a type."""
        if query.get("instId"):
            return [self._find(query)]
        kind = query.get("instType")
        if not kind:
            raise _RefusedError("50014", "Parameter instType can not be empty.")
        return [
            (frames, self._market.instruments[index])
            for index, frames in self._frames.items()
            if frames.inst_type == kind
        ]

    def _instruments(self, query: _Query) -> bytes:
        if not query.get("instType"):
            raise _RefusedError("50014", "Parameter instType can not be empty.")
        rows = [msgspec.json.encode(self._instrument(item)) for item, _market in self._some(query)]
        return b",".join(rows)

    def _instrument(self, frames: OkxFrames) -> dict[str, Any]:
        spec = frames.spec
        swap = spec.perpetual
        step = frames.size(spec.lot).decode()
        return {
            "instType": frames.inst_type,
            "instId": frames.inst_id,
            "uly": frames.family if swap else "",
            "instFamily": frames.family if swap else "",
            "baseCcy": "" if swap else spec.asset.name,
            "quoteCcy": "" if swap else spec.quote,
            "settleCcy": (spec.asset.name if spec.inverse else spec.quote) if swap else "",
            "ctVal": f"{spec.contract:g}" if swap else "",
            "ctMult": "1" if swap else "",
            "ctValCcy": (spec.quote if spec.inverse else spec.asset.name) if swap else "",
            "ctType": ("inverse" if spec.inverse else "linear") if swap else "",
            "tickSz": frames.price(1).decode(),
            "lotSz": step,
            "minSz": step,
            "listTime": "1548133413000",
            "expTime": "",
            "state": "live",
            "ruleType": "normal",
        }

    def _book(self, query: _Query, most: int) -> bytes:
        frames, instrument = self._find(query)
        count = min(max(_integer(query, "sz", 1), 1), most)
        book = instrument.book
        return b'{"asks":[%b],"bids":[%b],"ts":"%d","seqId":%d}' % (
            frames.levels(book.asks.levels(count)),
            frames.levels(book.bids.levels(count)),
            self._market.now_ms,
            frames.sequence(book.version),
        )

    def _trades(self, query: _Query, most: int, *, backwards: bool) -> bytes:
        frames, instrument = self._find(query)
        history = instrument.trades
        limit = min(max(_integer(query, "limit", 100), 1), most)
        before, end = history.oldest_id, history.next_id
        if backwards and query.get("type", "1") != "1":
            raise _RefusedError("51000", "Parameter type error: only paging by tradeId is kept.")
        if backwards:
            end = min(end, _integer(query, "after", end))
            before = max(before, _integer(query, "before", before - 1) + 1)
        start = max(before, end - limit)
        rows = history.rows(start, max(0, end - start))
        return b",".join(self._trade(frames, row) for row in reversed(rows))

    def _trade(self, frames: OkxFrames, row: TradeRow) -> bytes:
        return (
            b'{"instId":"%b","tradeId":"%d","px":"%b","sz":"%b","side":"%b","source":"0","ts":"%d"}'
            % (
                frames.inst_id.encode(), row.id, frames.price(row.price), frames.size(row.size),
                b"sell" if row.seller else b"buy", row.ts_ms,
            )
        )  # fmt: skip

    def _open_interest(self, query: _Query) -> bytes:
        now_ms = self._market.now_ms
        return b",".join(
            frames.open_interest_row(
                now_ms, market.open_interest, mark_of(self._market, market.index).mark
            )
            for frames, market in self._some(query)
            if frames.spec.perpetual
        )

    def _mark(self, query: _Query) -> bytes:
        return b",".join(
            _row(frames.mark(self._market.now_ms, mark_of(self._market, market.index)))
            for frames, market in self._some(query)
            if frames.spec.perpetual
        )

    def _funding(self, query: _Query) -> bytes:
        frames, market = self._find(query)
        return _row(frames.funding(self._market.now_ms, mark_of(self._market, market.index)))

    def _ticker(self, query: _Query) -> bytes:
        frames, market = self._find(query)
        day = market.day.summary()
        return b"" if day is None else _row(frames.ticker(self._market.now_ms, day, market))


def _row(frame: bytes) -> bytes:
    """The data row of a stream's frame: REST answers have the same."""
    return frame[frame.index(b'"data":[') + 8 : -2]


def _integer(query: _Query, name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise _RefusedError("51000", f"Parameter {name} error")
    return int(text)
