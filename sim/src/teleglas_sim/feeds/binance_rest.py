"""Binance's REST answers from the market's present state."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from teleglas_sim.feeds.binance_frames import BinanceFrames
from teleglas_sim.feeds.perpetual import mark_of
from teleglas_sim.market.history import TradeRow
from teleglas_sim.market.market import Market
from teleglas_sim.market.matching import InstrumentMarket
from teleglas_sim.server import RestAnswer

__all__ = ["BinanceRest"]

DEPTH_LIMIT = {False: 5000, True: 1000}
USDM_DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1000)
_Query = Mapping[str, str]


class _RefusedError(Exception):
    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.answer = RestAnswer(msgspec.json.encode({"code": code, "msg": message}), status)


class BinanceRest:
    """One venue's endpoints; times are the market's."""

    def __init__(self, market: Market, frames: dict[int, BinanceFrames], *, usdm: bool) -> None:
        self._market = market
        self._frames = frames
        self._usdm = usdm
        self._by_symbol = {item.spec.symbol: index for index, item in frames.items()}
        base = "/fapi/v1" if usdm else "/api/v3"
        routes: dict[str, Callable[[_Query], bytes]] = {
            "ping": lambda _query: b"{}",
            "time": lambda _query: b'{"serverTime":%d}' % self._market.now_ms,
            "exchangeInfo": self._exchange_info,
            "depth": self._depth,
            "trades": self._trades,
            "historicalTrades": self._trades,
            "aggTrades": self._aggregates,
            "ticker/24hr": self._day,
        }
        if usdm:
            routes |= {"openInterest": self._open_interest, "premiumIndex": self._premium}
            routes["historicalTrades"] = _needs_key
        self._routes = {f"{base}/{name}": handler for name, handler in routes.items()}

    def answer(self, path: str, query: _Query) -> RestAnswer:
        """The venue's answer, or its error."""
        handler = self._routes.get(path)
        if handler is None:
            return RestAnswer(msgspec.json.encode({"code": -5000, "msg": "Path not found."}), 404)
        try:
            return RestAnswer(handler(query))
        except _RefusedError as refused:
            return refused.answer

    def _find(self, query: _Query) -> tuple[BinanceFrames, InstrumentMarket]:
        symbol = query.get("symbol")
        if symbol is None:
            text = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            raise _RefusedError(-1102, text)
        index = self._by_symbol.get(symbol)
        if index is None:
            raise _RefusedError(-1121, "Invalid symbol.")
        return self._frames[index], self._market.instruments[index]

    def _depth(self, query: _Query) -> bytes:
        frames, instrument = self._find(query)
        limit = _integer(query, "limit", 500 if self._usdm else 100)
        if self._usdm and limit not in USDM_DEPTH_LIMITS:
            raise _RefusedError(-4021, f"{limit} is not valid depth limit.")
        limit = min(max(limit, 1), DEPTH_LIMIT[self._usdm])
        book = instrument.book
        now_ms = self._market.now_ms
        times = b'"E":%d,"T":%d,' % (now_ms, now_ms) if self._usdm else b""
        return b'{"lastUpdateId":%d,%b"bids":[%b],"asks":[%b]}' % (
            frames.update_id(book.version),
            times,
            frames.levels(book.bids.levels(limit)),
            frames.levels(book.asks.levels(limit)),
        )

    def _trades(self, query: _Query) -> bytes:
        frames, instrument = self._find(query)
        rows = _page(instrument, query, "fromId")
        return b"[%b]" % b",".join(self._trade(frames, row) for row in rows if not row.spent)

    def _trade(self, frames: BinanceFrames, row: TradeRow) -> bytes:
        tail = b',"isRPITrade":false' if self._usdm else b',"isBestMatch":true'
        return (
            b'{"id":%d,"price":"%b","qty":"%b","quoteQty":"%b","time":%d,"isBuyerMaker":%b%b}'
            % (
                row.id, frames.price(row.price), frames.size(row.size),
                frames.turnover(row.price * row.size), row.ts_ms,
                b"true" if row.seller else b"false", tail,
            )
        )  # fmt: skip

    def _aggregates(self, query: _Query) -> bytes:
        frames, instrument = self._find(query)
        limit = min(max(_integer(query, "limit", 500), 1), 1000)
        start = _integer(query, "fromId", instrument.next_aggregate - limit)
        groups = _grouped(instrument, start, limit)
        return b"[%b]" % b",".join(self._aggregate(frames, group) for group in groups)

    def _aggregate(self, frames: BinanceFrames, group: list[TradeRow]) -> bytes:
        first, last = group[0], group[-1]
        return (
            b'{"a":%d,"p":"%b","q":"%b","f":%d,"l":%d,"T":%d,"m":%b%b}'
            % (
                first.aggregate, frames.price(first.price),
                frames.size(sum(row.size for row in group)), first.id, last.id, first.ts_ms,
                b"true" if first.seller else b"false", b"" if self._usdm else b',"M":true',
            )
        )  # fmt: skip

    def _day(self, query: _Query) -> bytes:
        frames, instrument = self._find(query)
        day = instrument.day.summary()
        if day is None:
            return b"{}"
        return msgspec.json.encode(
            {
                "symbol": frames.spec.symbol,
                "lastPrice": frames.price(instrument.day.last).decode(),
                "openPrice": frames.price(day.open).decode(),
                "highPrice": frames.price(day.high).decode(),
                "lowPrice": frames.price(day.low).decode(),
                "volume": frames.size(day.size).decode(),
                "quoteVolume": frames.turnover(day.turnover).decode(),
                "openTime": day.open_ms,
                "closeTime": self._market.now_ms,
                "firstId": day.first_id,
                "lastId": instrument.day.last_id,
                "count": day.count,
            }
        )

    def _open_interest(self, query: _Query) -> bytes:
        frames, instrument = self._find(query)
        return b'{"openInterest":"%b","symbol":"%b","time":%d}' % (
            frames.size(instrument.open_interest),
            frames.spec.symbol.encode(),
            self._market.now_ms,
        )

    def _premium(self, query: _Query) -> bytes:
        frames, instrument = self._find(query)
        mark = mark_of(self._market, instrument.index)
        return msgspec.json.encode(
            {
                "symbol": frames.spec.symbol,
                "markPrice": f"{mark.mark:.8f}",
                "indexPrice": f"{mark.index:.8f}",
                "estimatedSettlePrice": f"{mark.index:.8f}",
                "lastFundingRate": f"{mark.funding:.8f}",
                "interestRate": "0.00010000",
                "nextFundingTime": mark.next_funding_ms,
                "time": self._market.now_ms,
            }
        )

    def _exchange_info(self, query: _Query) -> bytes:
        if "symbol" in query:
            chosen = [self._find(query)[0]]
        elif "symbols" in query:
            names = msgspec.json.decode(query["symbols"].encode(), type=list[str])
            chosen = [self._find({"symbol": name})[0] for name in names]
        else:
            chosen = list(self._frames.values())
        weight = 2400 if self._usdm else 6000
        return msgspec.json.encode(
            {
                "timezone": "UTC",
                "serverTime": self._market.now_ms,
                "rateLimits": [
                    {
                        "rateLimitType": "REQUEST_WEIGHT",
                        "interval": "MINUTE",
                        "intervalNum": 1,
                        "limit": weight,
                    }
                ],
                "exchangeFilters": [],
                "symbols": [self._symbol_info(item) for item in chosen],
            }
        )

    def _symbol_info(self, frames: BinanceFrames) -> dict[str, Any]:
        spec = frames.spec
        step = frames.size(spec.lot).decode()
        info: dict[str, Any] = {
            "symbol": spec.symbol,
            "status": "TRADING",
            "baseAsset": spec.asset.name,
            "quoteAsset": spec.quote,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": frames.price(1).decode(),
                    "maxPrice": frames.price(10**9).decode(),
                    "tickSize": frames.price(1).decode(),
                },
                {
                    "filterType": "LOT_SIZE",
                    "minQty": step,
                    "maxQty": frames.size(9_000 * 10**spec.lot_decimals).decode(),
                    "stepSize": step,
                },
            ],
        }
        if not self._usdm:
            return info | {
                "baseAssetPrecision": 8,
                "quoteAssetPrecision": 8,
                "isSpotTradingAllowed": True,
                "permissions": ["SPOT"],
            }
        return info | {
            "pair": spec.symbol,
            "contractType": "PERPETUAL",
            "marginAsset": spec.quote,
            "deliveryDate": 4_133_404_800_000,
            "onboardDate": 1_569_398_400_000,
            "pricePrecision": spec.price_decimals,
            "quantityPrecision": spec.lot_decimals,
        }


def _needs_key(_query: _Query) -> bytes:
    raise _RefusedError(-2014, "API-key format invalid.", 401)


def _integer(query: _Query, name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise _RefusedError(-1100, f"Illegal characters found in parameter '{name}'.")
    return int(text)


def _page(instrument: InstrumentMarket, query: _Query, key: str) -> list[TradeRow]:
    limit = min(max(_integer(query, "limit", 500), 1), 1000)
    start = _integer(query, key, instrument.trades.next_id - limit)
    return instrument.trades.rows(start, limit)


def _grouped(instrument: InstrumentMarket, start: int, limit: int) -> list[list[TradeRow]]:
    """Market trades by aggregate id from `start` on; found by bisection, ids grow together."""
    history = instrument.trades
    groups: list[list[TradeRow]] = []
    for row in history.rows(_first_of(instrument, start), history.next_id):
        if not row.market or row.aggregate < start:
            continue
        if groups and groups[-1][0].aggregate == row.aggregate:
            groups[-1].append(row)
            continue
        if len(groups) == limit:
            break
        groups.append([row])
    return groups


def _first_of(instrument: InstrumentMarket, aggregate: int) -> int:
    history = instrument.trades
    low, high = history.oldest_id, history.next_id
    while low < high:
        middle = (low + high) // 2
        if history.row(middle).aggregate >= aggregate:
            high = middle
        else:
            low = middle + 1
    return low
