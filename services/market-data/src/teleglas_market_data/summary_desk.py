"""The summaries of one shard: closed candles, quotes and books in, one message a tick out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.book import TopOfBook
from teleglas_market_data.domain.candles import Closed
from teleglas_market_data.domain.intervals import DAY_NS, MINUTE_NS
from teleglas_market_data.domain.summary import MarketSummary, Quote, SummaryView
from teleglas_market_data.ports import Market, Store, StoredCandle

__all__ = ["SummaryDesk"]


@dataclass(slots=True)
class SummaryDesk:
    """Keeps one MarketSummary a market and the exponents of its candles."""

    every_ns: int
    summaries: dict[Market, MarketSummary] = field(default_factory=dict)
    exponents: dict[Market, tuple[int, int]] = field(default_factory=dict)
    touched: set[Market] = field(default_factory=set)

    def close(self, candles: Iterable[StoredCandle], *, late: bool) -> None:
        """Take closed and revised candles; only seconds and minutes matter. What is late counts
        from behind the watermark that it was made at.
        """
        by_market: dict[Market, list[Closed]] = {}
        known: dict[Market, int] = {}
        for candle in candles:
            if candle.level <= 1:
                market = (candle.venue, candle.instrument)
                self._refine(market, candle)
                by_market.setdefault(market, []).append(Closed(candle.level, candle.bar))
                known[market] = candle.ts_known
        for market, closed in by_market.items():
            self._of(market).close(closed, known[market] + 1 if late else None)

    def quoted(self, market: Market, quote: Quote, at: int) -> None:
        """Take what a ticker says; it holds from the time `at` on."""
        self._of(market).quoted(quote, at)

    def topped(self, market: Market, top: TopOfBook, exponent: int, at: int) -> None:
        """Take the best prices of a book; they hold from the time `at` on."""
        quote = Quote(ts_event=top.ts_event, exponent=exponent, bid=top.bid, ask=top.ask)
        self._of(market).topped(quote, at)

    def topped_by(self, market: Market, quote: Quote) -> None:
        """Take best prices that come as a quote."""
        self._of(market).topped(quote, quote.ts_event)

    def tick_after(self, ts: int) -> int:
        """The first tick that lies behind `ts`."""
        return ts - ts % self.every_ns + self.every_ns

    def release(self, market: Market, until: int) -> Sequence[SummaryView]:
        """What is to be said of a market up to a tick."""
        found = self.summaries.get(market)
        if found is None or until <= found.released:
            return ()
        self.touched.add(market)
        return found.release(until)

    def states(self) -> dict[str, bytes]:
        """State of each market that changed since the last call."""
        states: dict[str, bytes] = {}
        for venue, instrument in sorted(self.touched):
            summary = self.summaries[venue, instrument]
            summary.exponents = self.exponents.get((venue, instrument))
            states[f"summary/{venue}:{instrument}"] = summary.dump()
        self.touched.clear()
        return states

    def load(self, market: Market, state: bytes) -> None:
        """Take what `states` gave; `refill` must follow."""
        summary = self.summaries[market] = MarketSummary(self.every_ns)
        summary.load(state)
        if summary.exponents is not None:
            self.exponents[market] = summary.exponents

    async def refill(self, store: Store, frontiers: dict[Market, int]) -> None:
        """Rebuild each window from the stored minutes before the market's frontier."""
        for market, summary in self.summaries.items():
            end = frontiers.get(market, 0)
            begin = end - DAY_NS - MINUTE_NS
            minutes = await store.candles_in(market, 1, begin, end) if end else []
            if market not in self.exponents and minutes:
                last = minutes[-1]
                self.exponents[market] = (last.price_exponent, last.size_exponent)
            for candle in minutes:
                summary.window.put(self._rescaled(market, candle))

    def markets(self) -> Collection[Market]:
        return self.summaries.keys()

    def _of(self, market: Market) -> MarketSummary:
        self.touched.add(market)
        found = self.summaries.get(market)
        if found is None:
            found = self.summaries[market] = MarketSummary(self.every_ns)
        return found

    def _refine(self, market: Market, candle: StoredCandle) -> None:
        now = (candle.price_exponent, candle.size_exponent)
        known = self.exponents.get(market)
        self.exponents[market] = now
        if known is not None and known != now and market in self.summaries:
            prices, sizes = 10 ** (known[0] - now[0]), 10 ** (known[1] - now[1])
            self.summaries[market].rescale(prices, sizes)

    def _rescaled(self, market: Market, candle: StoredCandle) -> Bar:
        prices, sizes = self.exponents[market]
        if (candle.price_exponent, candle.size_exponent) != (prices, sizes):
            candle.bar.rescale(
                10 ** (candle.price_exponent - prices), 10 ** (candle.size_exponent - sizes)
            )
        return candle.bar
