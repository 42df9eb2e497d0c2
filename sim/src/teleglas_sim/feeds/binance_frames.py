"""Binance's frames of one instrument, written by templates: no JSON library on the hot path."""

from collections.abc import Sequence

from teleglas_sim.feeds.perpetual import Mark
from teleglas_sim.feeds.texts import number_text
from teleglas_sim.market.catalog import InstrumentSpec
from teleglas_sim.market.events import BookChanged, Execution, Liquidated, Print, TopChanged
from teleglas_sim.market.history import DaySummary
from teleglas_sim.market.matching import InstrumentMarket

__all__ = ["BinanceFrames"]

# Update ids per ms of the start, so that a later run's are higher; those of USD-M are shared by all
# symbols, so a symbol's own ones jump.
SPOT_IDS_PER_MS, USDM_IDS_PER_MS, USDM_STRIDE = 4, 200, 37
_TRUE, _FALSE = b"true", b"false"


class BinanceFrames:
    """Encodes for one symbol; `lower` is its name in streams."""

    def __init__(self, spec: InstrumentSpec, start_ms: int) -> None:
        self.spec = spec
        self.lower = spec.symbol.lower()
        self._usdm = spec.perpetual
        self._symbol = spec.symbol.encode()
        self._first_update = start_ms * (USDM_IDS_PER_MS if spec.perpetual else SPOT_IDS_PER_MS)
        self._stride = USDM_STRIDE if spec.perpetual else 1
        prices, sizes = spec.price_decimals, spec.lot_decimals
        self.price = number_text(prices, prices if spec.perpetual else 8)
        self.size = number_text(sizes, sizes if spec.perpetual else 8)
        self.turnover = number_text(prices + sizes, max(8, prices + sizes))

    def update_id(self, version: int) -> int:
        """The wire's update id of a book version."""
        return self._first_update + version * self._stride

    def trades(self, event: Execution) -> list[bytes]:
        """One `trade` frame per fill."""
        maker = _TRUE if event.side < 0 else _FALSE
        ts_ms, symbol = event.ts_ms, self._symbol
        if not self._usdm:
            return [
                b'{"e":"trade","E":%d,"s":"%b","t":%d,"p":"%b","q":"%b","T":%d,"m":%b,"M":true}'
                % (ts_ms + 1, symbol, trade_id, self.price(price), self.size(size), ts_ms, maker)
                for trade_id, price, size in event.fills
            ]
        return [
            self._usdm_trade(trade_id, price, size, ts_ms, b"MARKET" if size else b"NA", maker)
            for trade_id, price, size in event.fills
        ]

    def outside(self, event: Print) -> bytes:
        """A print that is no market trade."""
        maker = _TRUE if event.side < 0 else _FALSE
        kind = event.kind.encode()
        return self._usdm_trade(event.id, event.price, event.size, event.ts_ms, kind, maker)

    def aggregates(self, event: Execution) -> list[bytes]:
        """One `aggTrade` frame per price of the order."""
        maker = b"true" if event.side < 0 else b"false"
        tail = b"" if self._usdm else b',"M":true'
        frames: list[bytes] = []
        for number, (price, size, first, last) in enumerate(by_price(event)):
            frames.append(
                b'{"e":"aggTrade","E":%d,"s":"%b","a":%d,"p":"%b","q":"%b","f":%d,"l":%d,"T":%d,'
                b'"m":%b%b}'
                % (
                    event.ts_ms + 1, self._symbol, event.first_aggregate + number,
                    self.price(price), self.size(size), first, last, event.ts_ms, maker, tail,
                )
            )  # fmt: skip
        return frames

    def top(self, event: TopChanged) -> bytes:
        """`bookTicker`: spot's has no time."""
        update_id = self.update_id(event.version)
        body = (
            b'"u":%d,"s":"%b","b":"%b","B":"%b","a":"%b","A":"%b"'
            % (
                update_id, self._symbol, self.price(event.bid), self.size(event.bid_size),
                self.price(event.ask), self.size(event.ask_size),
            )
        )  # fmt: skip
        if not self._usdm:
            return b"{%b}" % body
        return b'{"e":"bookTicker",%b,"T":%d,"E":%d}' % (body, event.ts_ms, event.ts_ms + 1)

    def depth(self, event: BookChanged) -> bytes:
        """`depthUpdate` of the last 100 ms."""
        diff = event.diff
        first, last = self.update_id(diff.first), self.update_id(diff.last)
        bids, asks = self.levels(diff.bids), self.levels(diff.asks)
        if not self._usdm:
            return b'{"e":"depthUpdate","E":%d,"s":"%b","U":%d,"u":%d,"b":[%b],"a":[%b]}' % (
                event.ts_ms, self._symbol, first, last, bids, asks,
            )  # fmt: skip
        return (
            b'{"e":"depthUpdate","E":%d,"T":%d,"s":"%b","U":%d,"u":%d,"pu":%d,"b":[%b],"a":[%b]}'
            % (
                event.ts_ms + 1, event.ts_ms, self._symbol, first, last,
                self.update_id(diff.previous), bids, asks,
            )
        )  # fmt: skip

    def levels(self, levels: Sequence[tuple[int, int]]) -> bytes:
        """`["price","size"]` pairs without the outer brackets."""
        price, size = self.price, self.size
        return b",".join([b'["%b","%b"]' % (price(level), size(lots)) for level, lots in levels])

    def day(self, now_ms: int, day: DaySummary, last: InstrumentMarket) -> bytes:
        """`24hrTicker` over the time that the market exists."""
        change = last.day.last - day.open
        sign = b"-" if change < 0 else b""
        average = day.turnover // max(1, day.size)
        percent = b"%.3f" % (100.0 * change / day.open)
        book = b""
        if not self._usdm:
            bid, bid_size, ask, ask_size = last.book.top()
            book = b'"x":"%b","b":"%b","B":"%b","a":"%b","A":"%b",' % (
                self.price(day.open), self.price(bid), self.size(bid_size), self.price(ask),
                self.size(ask_size),
            )  # fmt: skip
        return (
            b'{"e":"24hrTicker","E":%d,"s":"%b","p":"%b%b","P":"%b","w":"%b",%b"c":"%b","Q":"%b",'
            b'"o":"%b","h":"%b","l":"%b","v":"%b","q":"%b","O":%d,"C":%d,"F":%d,"L":%d,"n":%d}'
            % (
                now_ms, self._symbol, sign, self.price(abs(change)), percent,
                self.price(average), book, self.price(last.day.last),
                self.size(last.day.last_size), self.price(day.open), self.price(day.high),
                self.price(day.low), self.size(day.size), self.turnover(day.turnover),
                day.open_ms, now_ms, day.first_id, last.day.last_id, day.count,
            )
        )  # fmt: skip

    def mark(self, now_ms: int, mark: Mark) -> bytes:
        """`markPriceUpdate`."""
        return (
            b'{"e":"markPriceUpdate","E":%d,"s":"%b","p":"%.8f","i":"%.8f","P":"%.8f","r":"%.8f",'
            b'"T":%d}'
            % (
                now_ms, self._symbol, mark.mark, mark.index, mark.index, mark.funding,
                mark.next_funding_ms,
            )
        )  # fmt: skip

    def liquidation(self, now_ms: int, event: Liquidated) -> bytes:
        """`forceOrder`."""
        side = b"BUY" if event.side > 0 else b"SELL"
        done = event.filled >= event.size
        size, filled = self.size(event.size), self.size(event.filled)
        return (
            b'{"e":"forceOrder","E":%d,"o":{"s":"%b","S":"%b","o":"LIMIT","f":"IOC","q":"%b",'
            b'"p":"%b","ap":"%b","X":"%b","l":"%b","z":"%b","T":%d}}'
            % (
                now_ms, self._symbol, side, size, self.price(event.price),
                self.price(event.average), b"FILLED" if done else b"EXPIRED", filled, filled,
                event.ts_ms,
            )
        )  # fmt: skip

    def _usdm_trade(
        self, trade_id: int, price: int, size: int, ts_ms: int, kind: bytes, maker: bytes
    ) -> bytes:
        spent = not size and not price
        return (
            b'{"e":"trade","E":%d,"T":%d,"s":"%b","t":%d,"p":"%b","q":"%b","X":"%b","m":%b}'
            % (
                ts_ms + 1, ts_ms, self._symbol, trade_id,
                b"0" if spent else self.price(price), b"0" if spent else self.size(size), kind,
                maker,
            )
        )  # fmt: skip


def by_price(event: Execution) -> list[tuple[int, int, int, int]]:
    """`(price, size, first id, last id)` per price of a taker order."""
    groups: list[tuple[int, int, int, int]] = []
    for trade_id, price, size in event.fills:
        if not size:
            continue
        if groups and groups[-1][0] == price:
            _price, total, first, _last = groups[-1]
            groups[-1] = (price, total + size, first, trade_id)
        else:
            groups.append((price, size, trade_id, trade_id))
    return groups
