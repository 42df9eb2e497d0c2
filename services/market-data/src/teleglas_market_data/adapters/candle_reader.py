"""Pages of candles: stored ones, quiet seconds filled in, the forming one at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from teleglas_market_data.adapters.queries import Page, Queries
from teleglas_market_data.domain.bar import flat
from teleglas_market_data.domain.intervals import DAY_NS, SECOND_NS
from teleglas_market_data.live import Live
from teleglas_market_data.ports import Market, StoredCandle

__all__ = ["CandleReader"]


class CandleReader:
    """Quiet seconds are not stored: they repeat the close before them, for at most a day."""

    def __init__(self, queries: Queries, live: Live) -> None:
        self._queries = queries
        self._live = live

    async def read(self, market: Market, level: int, page: Page, as_of: int) -> list[StoredCandle]:
        """At most `page.size` closed candles."""
        if as_of:
            found = await self._queries.candles_as_of(market, level, page, as_of)
        else:
            found = await self._queries.candles(market, level, page)
        if level:
            return found
        return await self._filled(market, page, as_of, found)

    def forming(self, market: Market, level: int, page: Page) -> StoredCandle | None:
        """The forming candle, if it lies in the page's range."""
        found = self._live.forming(market, level)
        if found is None or not page.ts_from <= found.bar.ts_open < page.ts_to:
            return None
        return found

    async def _filled(
        self, market: Market, page: Page, as_of: int, found: Sequence[StoredCandle]
    ) -> list[StoredCandle]:
        known = sorted(found, key=lambda candle: candle.bar.ts_open)
        end = self._end(market, page, known, as_of)
        oldest = end - page.size * SECOND_NS if page.descending else 0
        begin = max(page.ts_from, oldest)
        before = await self._queries.candles(market, 0, Page(0, begin, 1, descending=True))
        seconds = _fill([*before, *(c for c in known if c.bar.ts_open >= begin)], begin, end)
        if page.descending:
            return sorted(seconds, key=lambda candle: -candle.bar.ts_open)[: page.size]
        return [second for second, _ in zip(seconds, range(page.size), strict=False)]

    def _end(self, market: Market, page: Page, known: Sequence[StoredCandle], as_of: int) -> int:
        """Where the closed seconds of the range end."""
        last = known[-1].bar.ts_open + SECOND_NS if known else page.ts_from
        frontier = self._live.frontier(market)
        if as_of:
            frontier = min(frontier, as_of - as_of % SECOND_NS)
        return min(page.ts_to, max(last, frontier))


def _fill(known: Sequence[StoredCandle], begin: int, end: int) -> Iterator[StoredCandle]:
    for candle, following in zip(known, [*known[1:], None], strict=True):
        if candle.bar.ts_open >= begin:
            yield candle
        until = following.bar.ts_open if following else end
        first = max(candle.bar.ts_open + SECOND_NS, -(-begin // SECOND_NS) * SECOND_NS)
        for ts_open in range(first, min(until, end, candle.bar.ts_open + DAY_NS), SECOND_NS):
            yield replace(candle, bar=flat(ts_open, candle.bar.close))
