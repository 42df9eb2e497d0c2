"""What the topics hold, as plain values that a test can compare."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter
from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.gap_pb2 import Gap
from teleglas.market.v1.trade_pb2 import PRINT_KIND_MARKET, TradeBatch
from teleglas.market.v1.types_pb2 import CHANNEL_TRADES, SIDE_BUY
from teleglas_cli.commands.topics import read_to_end
from teleglas_cli.digest import Digest
from teleglas_common.bus.dead_letter import twin
from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import Bus
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic

__all__ = [
    "NS_PER_S",
    "SECONDS",
    "Bar",
    "Print",
    "TradesRead",
    "bar_of",
    "bars_of",
    "candles",
    "dead_letters",
    "digest",
    "exact",
    "gaps",
    "trades",
]

Market = tuple[str, str]
NS_PER_S = 1_000_000_000
SECONDS = {
    "1s": 1,
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "1h": 3_600,
    "4h": 14_400,
    "1d": 86_400,
}


@dataclass(frozen=True, slots=True)
class Print:
    """One trade. `sequence` orders those of one moment; `counts` says whether candles count it."""

    id: str
    price: Decimal
    size: Decimal
    buys: bool
    ts_event: int
    sequence: int
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Bar:
    """What a candle says of its trades."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    trades: int


@dataclass(slots=True)
class TradesRead:
    """The trades topic: distinct trades of each market and how often each was written."""

    prints: dict[Market, dict[str, Print]] = field(default_factory=lambda: defaultdict(dict))
    countable: set[Market] = field(default_factory=set)
    """Markets whose ids leave no holes, by what their batches say."""
    times_written: Counter[tuple[Market, str]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return sum(len(found) for found in self.prints.values())

    @property
    def repeated(self) -> int:
        return self.times_written.total() - self.total


def exact(mantissa: int, exponent: int) -> Decimal:
    return Decimal(mantissa).scaleb(exponent)


async def trades(bus: Bus) -> TradesRead:
    """Read the trades topic whole."""
    found = TradesRead()
    async for record in read_to_end(bus, topics.MARKET_TRADES_V1):
        batch = decode(record)
        if not isinstance(batch, TradeBatch):
            continue
        market = (batch.venue, batch.instrument)
        if batch.contiguous:
            found.countable.add(market)
        for trade in batch.trades:
            found.times_written[market, trade.id] += 1
            found.prints[market][trade.id] = Print(
                trade.id,
                exact(trade.price, batch.price_exponent),
                exact(trade.size, batch.size_exponent),
                trade.side == SIDE_BUY,
                trade.ts_event,
                trade.sequence,
                trade.print == PRINT_KIND_MARKET,
            )
    return found


async def candles(bus: Bus) -> dict[Market, dict[tuple[str, int], Candle]]:
    """The last revision of each candle, by market and (interval, open)."""
    found: dict[Market, dict[tuple[str, int], Candle]] = defaultdict(dict)
    async for record in read_to_end(bus, topics.MARKET_CANDLES_V1):
        candle = decode(record)
        assert isinstance(candle, Candle)
        found[candle.venue, candle.instrument][candle.interval, candle.ts_open] = candle
    return found


async def gaps(bus: Bus) -> list[Gap]:
    """The last word of each gap in trades."""
    found: dict[str, Gap] = {}
    async for record in read_to_end(bus, topics.MARKET_GAPS_V1):
        gap = decode(record)
        assert isinstance(gap, Gap)
        if gap.channel == CHANNEL_TRADES:
            found[gap.id] = gap
    return list(found.values())


async def dead_letters(bus: Bus, topic: Topic) -> list[DeadLetter]:
    """The dead letters of a topic, oldest first."""
    return [
        DeadLetter.FromString(record.value or b"") async for record in read_to_end(bus, twin(topic))
    ]


async def digest(bus: Bus, topic: Topic) -> tuple[str, Digest]:
    """The digest of a topic, and what it was made of."""
    found = Digest()
    async for record in read_to_end(bus, topic):
        found.add([record])
    return found.hexdigest(), found


def bars_of(
    prints: Iterable[Print], intervals: Iterable[str] = SECONDS
) -> dict[tuple[str, int], Bar]:
    """Candles of trades, by the definition: nothing of the product is in it."""
    counted = (trade for trade in prints if trade.counts)
    ordered = sorted(counted, key=lambda trade: (trade.ts_event, trade.sequence))
    made: dict[tuple[str, int], Bar] = {}
    for interval in intervals:
        length_ns = SECONDS[interval] * NS_PER_S
        groups: dict[int, list[Print]] = defaultdict(list)
        for trade in ordered:
            groups[trade.ts_event - trade.ts_event % length_ns].append(trade)
        made |= {(interval, ts_open): _bar(group) for ts_open, group in groups.items()}
    return made


def _bar(group: list[Print]) -> Bar:
    prices = [trade.price for trade in group]
    bought = [trade for trade in group if trade.buys]
    return Bar(
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum((trade.size for trade in group), Decimal()),
        sum((trade.size * trade.price for trade in group), Decimal()),
        sum((trade.size for trade in bought), Decimal()),
        sum((trade.size * trade.price for trade in bought), Decimal()),
        len(group),
    )


def bar_of(candle: Candle) -> Bar:
    """The same of a candle record."""
    return Bar(
        exact(candle.open, candle.price_exponent),
        exact(candle.high, candle.price_exponent),
        exact(candle.low, candle.price_exponent),
        exact(candle.close, candle.price_exponent),
        exact(candle.volume, candle.size_exponent),
        exact(candle.quote_volume, candle.quote_exponent),
        exact(candle.taker_buy_volume, candle.size_exponent),
        exact(candle.taker_buy_quote_volume, candle.quote_exponent),
        candle.trades,
    )
