"""OKX's frames of one instrument, written by templates."""

from collections.abc import Sequence
from zlib import crc32

from teleglas_sim.feeds.binance_frames import by_price
from teleglas_sim.feeds.perpetual import FUNDING_INTERVAL_MS, Mark
from teleglas_sim.feeds.texts import plain_text
from teleglas_sim.market.book import Book, BookDiff
from teleglas_sim.market.catalog import InstrumentSpec
from teleglas_sim.market.events import Execution, Liquidated
from teleglas_sim.market.history import DaySummary
from teleglas_sim.market.matching import InstrumentMarket

__all__ = ["CHECKSUM_LEVELS", "OkxFrames"]

# So that a later run has higher ids.
SEQUENCES_PER_MS = 4
CHECKSUM_LEVELS = 25
Levels = Sequence[tuple[int, int]]


class OkxFrames:
    """Encodes for one `instId`. Sizes of swaps are contracts."""

    def __init__(self, spec: InstrumentSpec, start_ms: int) -> None:
        self.spec = spec
        self.inst_id = spec.symbol
        self._id = spec.symbol.encode()
        self._first_sequence = start_ms * SEQUENCES_PER_MS
        self.inst_type = "SWAP" if spec.perpetual else "SPOT"
        self.family = f"{spec.asset.name}-{spec.quote}"
        self.price = plain_text(spec.price_decimals)
        self.size = plain_text(spec.lot_decimals)
        self._turnover = plain_text(spec.price_decimals + spec.lot_decimals)

    def sequence(self, version: int) -> int:
        """The wire's `seqId` of a book version."""
        return self._first_sequence + version

    def trades(self, event: Execution) -> list[bytes]:
        """`trades`: one per price of the taker order, `count` fills merged."""
        counts: dict[int, int] = {}
        for _id, price, _size in event.fills:
            counts[price] = counts.get(price, 0) + 1
        side = b"buy" if event.side > 0 else b"sell"
        sequence = self.sequence(event.version)
        return [
            b'{"arg":{"channel":"trades","instId":"%b"},"data":[{"instId":"%b","tradeId":"%d",'
            b'"px":"%b","sz":"%b","side":"%b","ts":"%d","count":"%d","source":"0","seqId":%d}]}'
            % (
                self._id, self._id, last, self.price(price), self.size(size), side, event.ts_ms,
                counts[price], sequence,
            )
            for price, size, _first, last in by_price(event)
        ]  # fmt: skip

    def all_trades(self, event: Execution) -> list[bytes]:
        """`trades-all`: one per fill."""
        side = b"buy" if event.side > 0 else b"sell"
        return [
            b'{"arg":{"channel":"trades-all","instId":"%b"},"data":[{"instId":"%b","tradeId":"%d",'
            b'"px":"%b","sz":"%b","side":"%b","source":"0","ts":"%d"}]}'
            % (self._id, self._id, trade_id, self.price(price), self.size(size), side, event.ts_ms)
            for trade_id, price, size in event.fills
        ]

    def snapshot(self, book: Book, ts_ms: int, version: int, checksum: int) -> bytes:
        """The first frame of `books`: up to 400 levels, `prevSeqId` -1."""
        return self._book(
            b"snapshot", book.bids.levels(400), book.asks.levels(400), ts_ms, checksum, -1,
            self.sequence(version),
        )  # fmt: skip

    def update(self, diff: BookDiff, ts_ms: int, checksum: int) -> bytes:
        """The changes since the frame before."""
        previous, last = self.sequence(diff.previous), self.sequence(diff.last)
        return self._book(b"update", diff.bids, diff.asks, ts_ms, checksum, previous, last)

    def heartbeat(self, ts_ms: int, version: int, checksum: int) -> bytes:
        """An update without change: `seqId` equals `prevSeqId`."""
        sequence = self.sequence(version)
        return self._book(b"update", (), (), ts_ms, checksum, sequence, sequence)

    def checksum(self, book: Book) -> int:
        """CRC-32 (signed) over the best 25 levels, bid and ask in turn."""
        bids, asks = book.bids.levels(CHECKSUM_LEVELS), book.asks.levels(CHECKSUM_LEVELS)
        parts: list[bytes] = []
        for place in range(max(len(bids), len(asks))):
            for side in (bids, asks):
                if place < len(side):
                    price, size = side[place]
                    parts.append(b"%b:%b" % (self.price(price), self.size(size)))
        value = crc32(b":".join(parts))
        return value - 2**32 if value >= 2**31 else value

    def ticker(self, now_ms: int, day: DaySummary, market: InstrumentMarket) -> bytes:
        """`tickers` over the time that the market exists."""
        bid, bid_size, ask, ask_size = market.book.top()
        volume, in_currency = self.size(day.size), self.currency_volume(day)
        opened = self.price(day.open)
        return (
            b'{"arg":{"channel":"tickers","instId":"%b"},"data":[{"instType":"%b","instId":"%b",'
            b'"last":"%b","lastSz":"%b","askPx":"%b","askSz":"%b","bidPx":"%b","bidSz":"%b",'
            b'"open24h":"%b","high24h":"%b","low24h":"%b","sodUtc0":"%b","sodUtc8":"%b",'
            b'"volCcy24h":"%b","vol24h":"%b","ts":"%d"}]}'
            % (
                self._id, self.inst_type.encode(), self._id, self.price(market.day.last),
                self.size(market.day.last_size), self.price(ask), self.size(ask_size),
                self.price(bid), self.size(bid_size), opened, self.price(day.high),
                self.price(day.low), opened, opened, in_currency, volume, now_ms,
            )
        )  # fmt: skip

    def currency_volume(self, day: DaySummary) -> bytes:
        """`volCcy24h`: quote for spot, base for swaps."""
        spec = self.spec
        if not spec.perpetual:
            return self._turnover(day.turnover)
        units = day.size / 10.0**spec.lot_decimals * spec.contract
        if spec.inverse:
            units *= 10.0**spec.price_decimals * day.size / max(1, day.turnover)
        return b"%.8f" % units

    def mark(self, now_ms: int, mark: Mark) -> bytes:
        """`mark-price`."""
        text = b"%.*f" % (self.spec.price_decimals, mark.mark)
        return (
            b'{"arg":{"channel":"mark-price","instId":"%b"},"data":[{"instType":"SWAP",'
            b'"instId":"%b","markPx":"%b","ts":"%d"}]}' % (self._id, self._id, text, now_ms)
        )

    def funding(self, now_ms: int, mark: Mark) -> bytes:
        """`funding-rate` by the present period's method."""
        return (
            b'{"arg":{"channel":"funding-rate","instId":"%b"},"data":[{"instType":"SWAP",'
            b'"instId":"%b","fundingRate":"%.16f","fundingTime":"%d","nextFundingRate":"",'
            b'"nextFundingTime":"%d","method":"current_period","ts":"%d"}]}'
            % (
                self._id, self._id, mark.funding, mark.next_funding_ms,
                mark.next_funding_ms + FUNDING_INTERVAL_MS, now_ms,
            )
        )  # fmt: skip

    def open_interest(self, now_ms: int, contracts: int, price: float) -> bytes:
        """`open-interest` in contracts, coins and USD."""
        return b'{"arg":{"channel":"open-interest","instId":"%b"},"data":[%b]}' % (
            self._id,
            self.open_interest_row(now_ms, contracts, price),
        )

    def open_interest_row(self, now_ms: int, contracts: int, price: float) -> bytes:
        """The row that stream and REST share."""
        spec = self.spec
        units = contracts / 10.0**spec.lot_decimals * spec.contract
        coins = units / price if spec.inverse else units
        return (
            b'{"instType":"SWAP","instId":"%b","oi":"%b","oiCcy":"%.8f","oiUsd":"%.4f","ts":"%d"}'
            % (self._id, self.size(contracts), coins, coins * price, now_ms)
        )

    def liquidation(self, event: Liquidated) -> bytes:
        """`liquidation-orders`; `bkPx` is the bankruptcy price."""
        side, held = (b"buy", b"short") if event.side > 0 else (b"sell", b"long")
        return (
            b'{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"instType":"SWAP",'
            b'"instFamily":"%b","instId":"%b","uly":"%b","details":[{"bkLoss":"0","bkPx":"%b",'
            b'"ccy":"","posSide":"%b","side":"%b","sz":"%b","ts":"%d"}]}]}'
            % (
                self.family.encode(), self._id, self.family.encode(), self.price(event.price),
                held, side, self.size(event.size), event.ts_ms,
            )
        )  # fmt: skip

    def levels(self, levels: Levels) -> bytes:
        """`["price","size","0","orders"]` without the outer brackets."""
        price, size = self.price, self.size
        return b",".join(
            [
                b'["%b","%b","0","%d"]' % (price(level), size(lots), 1 + lots % 19 if lots else 0)
                for level, lots in levels
            ]
        )

    def _book(
        self,
        action: bytes,
        bids: Levels,
        asks: Levels,
        ts_ms: int,
        checksum: int,
        previous: int,
        sequence: int,
    ) -> bytes:
        return (
            b'{"arg":{"channel":"books","instId":"%b"},"action":"%b","data":[{"asks":[%b],'
            b'"bids":[%b],"ts":"%d","checksum":%d,"prevSeqId":%d,"seqId":%d}]}'
            % (
                self._id, action, self.levels(asks), self.levels(bids), ts_ms, checksum, previous,
                sequence,
            )
        )  # fmt: skip
