"""What must hold of the trades, the gaps and the candles of one run, whatever was killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass

from teleglas.market.v1.gap_pb2 import GAP_RESOLUTION_LOST, GAP_RESOLUTION_OPEN, Gap
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_cli.commands.topics import read_to_end
from teleglas_cli.up.product import Product
from teleglas_common.bus.encode import decode
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from tests.support.log import TradesRead, bar_of, bars_of, candles, gaps, trades
from tests.support.product import connected

__all__ = ["Verdict", "assert_nothing_lost", "repaired"]

REPAIR_TIMEOUT_S = 900.0
"""A venue gives a hundred old trades a request, ten times a second: minutes after many kills."""
INTERVALS = ("1s", "1m")
Market = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run amounted to."""

    trades: int
    repeated: int
    missing_named: int
    gaps: int
    candles: int

    def __str__(self) -> str:
        return (
            f"{self.trades} trades, {self.repeated} written twice, {self.missing_named} missing and"
            f" named by {self.gaps} gaps, {self.candles} candles"
        )


async def repaired(product: Product) -> None:
    """Wait until ingest has fetched or given up all that it missed; it goes on meanwhile."""

    async def assert_closed() -> None:
        left = Counter(
            (gap.venue, gap.instrument)
            for gap in await gaps(product.bus)
            if gap.resolution == GAP_RESOLUTION_OPEN
        )
        assert not left, f"expected no open gaps, were {left}"

    await eventually(assert_closed, timeout_s=REPAIR_TIMEOUT_S, every_s=2.0)


async def assert_nothing_lost(product: Product) -> Verdict:
    """From topic to database to candles, and no id of a venue missing without a gap that says so.

    Asks a settled product.
    """
    read = await trades(product.bus)
    await _assert_stored(product, read)
    broken = await gaps(product.bus)
    missing = _assert_contiguous(read, broken)
    counted = await _assert_candles(product, read)
    return Verdict(read.total, read.repeated, missing, len(broken), counted)


async def _assert_stored(product: Product, read: TradesRead) -> None:
    async with connected(product) as database:
        rows = await database.fetch("SELECT venue, instrument, trade_id FROM market_data.trades")
    stored = Counter(((row["venue"], row["instrument"]), row["trade_id"]) for row in rows)
    twice = [place for place, count in stored.items() if count > 1]
    assert not twice, f"expected each trade once in the database, twice: {twice[:5]}"
    lost = read.times_written.keys() - stored.keys()
    assert not lost, (
        f"{len(lost)} of {read.total} trades of the topic are not in the database:"
        f" {Counter(market for market, _ in lost)}, {await written(product, lost)}"
    )
    odd = stored.keys() - read.times_written.keys()
    assert not odd, f"{len(odd)} trades of the database are not in the topic"


async def written(product: Product, wanted: Container[tuple[Market, str]]) -> list[str]:
    """Where trades stand in the topic, for a message."""
    places: list[str] = []
    async for record in read_to_end(product.bus, topics.MARKET_TRADES_V1):
        batch = decode(record)
        if not isinstance(batch, TradeBatch):
            continue
        ids = [t.id for t in batch.trades if ((batch.venue, batch.instrument), t.id) in wanted]
        if ids:
            places.append(
                f"{record.partition}@{record.offset} {batch.source} epoch {batch.writer_epoch}:"
                f" {len(ids)} of {len(batch.trades)} from {ids[0]}, backfilled:"
                f" {batch.trades[0].backfilled}"
            )
    return [*places[:6], "...", *places[-3:]]


def _assert_contiguous(read: TradesRead, broken: list[Gap]) -> int:
    """Where a venue numbers its trades without holes, a hole must be a named one."""
    named: dict[Market, list[Gap]] = {}
    for gap in broken:
        named.setdefault((gap.venue, gap.instrument), []).append(gap)
    missing = 0
    for market in read.countable:
        prints = read.prints[market]
        seen = {trade.sequence for trade in prints.values()}
        holes = set(range(min(seen), max(seen))) - seen
        for gap in named.get(market, ()):
            if gap.resolution == GAP_RESOLUTION_LOST:
                holes -= set(range(gap.first_missing, gap.last_missing + 1))
        silent = sorted(holes)
        assert not silent, f"{market}: {len(silent)} trades missing without a word: {silent[:5]}"
        missing += max(seen) - min(seen) + 1 - len(seen)
    return missing


async def _assert_candles(product: Product, read: TradesRead) -> int:
    """The last word of each candle is that of the distinct trades in the topic."""
    made = await candles(product.bus)
    counted = 0
    for market, prints in read.prints.items():
        wanted = bars_of(prints.values(), INTERVALS)
        said = {
            place: bar_of(candle)
            for place, candle in made[market].items()
            if place[0] in INTERVALS and candle.trades
        }
        wrong = [
            (place, bar, wanted.get(place))
            for place, bar in said.items()
            if bar != wanted.get(place)
        ]
        assert not wrong, f"{market}: {len(wrong)} of {len(said)} candles differ: {wrong[:2]}"
        newest = max(ts_open for interval, ts_open in said if interval == "1s")
        absent = [
            place for place in wanted.keys() - said.keys() if place[0] == "1s" and place[1] < newest
        ]
        assert not absent, f"{market}: expected candles of {sorted(absent)[:5]}"
        counted += len(said)
    return counted
