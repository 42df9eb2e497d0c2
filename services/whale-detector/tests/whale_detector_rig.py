"""Made-up markets, the records that a feed would write of them, and the detector without Faust."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from teleglas.market.v1.book_pb2 import BOOK_UPDATE_KIND_DELTA as DELTA
from teleglas.market.v1.book_pb2 import BOOK_UPDATE_KIND_SNAPSHOT as SNAPSHOT
from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.liquidation_pb2 import COVERAGE_SAMPLED, Liquidation
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import PRINT_KIND_MARKET, TRADE_KIND_FILL, TradeBatch
from teleglas.market.v1.types_pb2 import SIDE_BUY, SIDE_SELL, TIME_BASIS_TRANSACTION, Side
from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_common.bus.encode import decode, outgoing
from teleglas_common.bus.ports import Outgoing, PoisonError, Record
from teleglas_common.telemetry import Metrics
from teleglas_contracts import topics
from teleglas_contracts.messages import without_volatile
from teleglas_contracts.topic import Topic
from teleglas_whale_detector.counts import Counts
from teleglas_whale_detector.domain.cascade import CascadeRules
from teleglas_whale_detector.domain.sketch import Definition
from teleglas_whale_detector.engine import handle
from teleglas_whale_detector.shard import Tools, WhaleShard

__all__ = [
    "BASE_TS",
    "BTC",
    "MS",
    "FakeClock",
    "Fill",
    "Log",
    "Rig",
    "alerts_of",
    "batch",
    "batches",
    "books",
    "forced",
    "last_revisions",
    "made_up_fills",
    "mark",
]

BTC = "BTC-USDT"
VENUE = "binance"
MS = 1_000_000
BASE_TS = 1_723_161_600_000_000_000
BUY, SELL = SIDE_BUY, SIDE_SELL
DEFINITION = Definition(min_observations=500)


@dataclass(frozen=True)
class Fill:
    """One trade as the tests think of it; price and size in integers of 0.01 and 0.00001."""

    sequence: int
    ts_ms: int
    side: int
    price: int
    size: int


def made_up_fills(seed: int = 1, orders: int = 2_000) -> list[Fill]:
    """Ordinary orders about every 100 ms, a sweep every 300 and a sliced parent every 700."""
    rng = random.Random(seed)
    fills: list[Fill] = []
    ts, sequence, price = 0, 1_000, 6_000_000

    def order(at: int, side: int, size: int, levels: int) -> None:
        nonlocal sequence
        for level in range(levels):
            sequence += 1
            step = level if side == BUY else -level
            fills.append(Fill(sequence, at, side, price + step, max(1, size // levels)))

    slices: list[tuple[int, int]] = []
    for number in range(orders):
        ts += 1 + int(rng.expovariate(1 / 100))
        price += rng.randint(-3, 3)
        while slices and slices[0][0] <= ts:
            at, side = slices.pop(0)
            order(at, side, 40_000 + rng.randint(-9_000, 9_000), 2)
        order(ts, rng.choice((BUY, SELL)), int(20 * rng.paretovariate(0.9)) % 40_000, 1)
        if number > 600 and number % 300 == 0:
            ts += 5
            order(ts, rng.choice((BUY, SELL)), 900_000 + number, 12)
        if number > 600 and number % 700 == 0:
            side = rng.choice((BUY, SELL))
            slices = [(ts + 400 * (n + 1), side) for n in range(30)]
    return fills


def batch(fills: Sequence[Fill], instrument: str = BTC, *, epoch: int = 1) -> TradeBatch:
    made = TradeBatch(
        venue=VENUE, instrument=instrument, price_exponent=-2, size_exponent=-5, contiguous=True,
        source=f"binance/0/{instrument}", writer_epoch=epoch,
    )  # fmt: skip
    for one in fills:
        made.trades.add(
            id=str(one.sequence), sequence=one.sequence, kind=TRADE_KIND_FILL, side=one.side,
            price=one.price, size=one.size, ts_event=BASE_TS + one.ts_ms * MS,
            ts_basis=TIME_BASIS_TRANSACTION, print=PRINT_KIND_MARKET,
        )  # fmt: skip
    return made


def batches(
    fills: Sequence[Fill], size: int, *, instrument: str = BTC, mark_every: int = 20
) -> Iterator[Message]:
    """Batches of `size` with a mark now and then, each behind what it promises, and a last one."""
    for at in range(0, len(fills), size):
        yield batch(fills[at : at + size], instrument)
        if at // size % mark_every == mark_every - 1:
            upcoming = fills[at + size :]
            if upcoming:
                yield mark(upcoming[0].ts_ms - 1, [instrument])
    yield mark(fills[-1].ts_ms + 120_000, [instrument])


def mark(ts_ms: int, instruments: Sequence[str], source: str = "") -> Progress:
    return Progress(
        venue=VENUE,
        source=source or f"binance/0/{instruments[0]}",
        writer_epoch=1,
        ts_event=BASE_TS + ts_ms * MS,
        instruments=instruments,
        lease_ns=30 * 10**9,
    )


def books(until_ms: int, instrument: str = BTC, *, seed: int = 3) -> Iterator[Message]:
    """A book each 100 ms, a snapshot each 5 s, a mark each second, and a last one."""
    rng = random.Random(seed)
    bid, sequence = 5_999_990, 10
    for number, ts_ms in enumerate(range(-1_000, until_ms + 40_000, 100)):
        move = rng.randint(-2, 2)
        kind = SNAPSHOT if number % 50 == 0 else DELTA
        old, bid = bid, bid + move
        bids, asks = {old: 0, bid: 500_000}, {old + 10: 0, bid + 10: 400_000}
        if kind == SNAPSHOT:
            bids |= {bid - n: 1_000 for n in range(1, 20)}
            asks |= {bid + 10 + n: 1_000 for n in range(1, 20)}
        sequence += 1
        yield BookUpdate(
            venue=VENUE, instrument=instrument, kind=kind, book_epoch=1, sequence=sequence,
            prev_sequence=sequence - 1, price_exponent=-2, size_exponent=-5,
            bid_prices=list(bids), bid_sizes=list(bids.values()), ask_prices=list(asks),
            ask_sizes=list(asks.values()), ts_event=BASE_TS + ts_ms * MS,
            ts_basis=TIME_BASIS_TRANSACTION, source=f"binance/0/books/{instrument}", writer_epoch=1,
        )  # fmt: skip
        if number % 10 == 9:
            yield mark(ts_ms, [instrument], f"binance/0/books/{instrument}")
    yield mark(until_ms + 120_000, [instrument], f"binance/0/books/{instrument}")


def forced(
    ts_ms: int,
    side: Side.ValueType = SIDE_SELL,
    size: int = 50_000,
    instrument: str = "BTC-USDT-PERP",
) -> Liquidation:
    return Liquidation(
        id=f"{instrument}:{side}:{ts_ms}:{size}", venue=VENUE, instrument=instrument, side=side,
        price_exponent=-2, size_exponent=-5, price=6_000_000, average_price=6_000_000, size=size,
        ts_event=BASE_TS + ts_ms * MS, ts_basis=TIME_BASIS_TRANSACTION, coverage=COVERAGE_SAMPLED,
        source="binance/0/liquidations-0", writer_epoch=1,
    )  # fmt: skip


@dataclass
class FakeClock:
    """Time that the test moves."""

    seconds: float = 0.0

    def now_ns(self) -> int:
        return int(self.seconds * 1e9)

    def monotonic_s(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """The time goes on, and others run."""
        self.seconds += seconds
        await asyncio.sleep(0)


@dataclass
class Log:
    """Topics with one partition each, in memory: what is added gets the next offset."""

    records: dict[str, list[Record]] = field(default_factory=dict)

    def add(self, topic: Topic, messages: Iterable[Message], instrument: str = BTC) -> None:
        for message in messages:
            one = outgoing(
                topic, message, key=f"{VENUE}:{instrument}", subject=instrument, now_ns=0
            )
            held = self.records.setdefault(topic.name, [])
            at = len(held)
            held.append(Record(topic.name, one.partition, at, one.key, one.value, one.headers, 0))

    def interleaved(self, seed: int) -> Iterator[Record]:
        """All records, each topic in its order; which topic comes next is up to the seed."""
        rng = random.Random(seed)
        left = {name: list(reversed(held)) for name, held in sorted(self.records.items())}
        while left:
            name = rng.choice(sorted(left))
            for _ in range(rng.randint(1, 40)):
                if left[name]:
                    yield left[name].pop()
            if not left[name]:
                del left[name]

    def side_by_side(self) -> Iterator[Record]:
        """All records, the topics in turn by how far each has come."""
        parts = [
            (at / len(held), name, record)
            for name, held in sorted(self.records.items())
            for at, record in enumerate(held)
        ]
        for _, _, record in sorted(parts, key=lambda part: part[:2]):
            yield record


@dataclass
class Rig:
    """A shard that is run, killed and restored as the Faust worker does it."""

    definition: Definition = DEFINITION
    cascades: CascadeRules = field(default_factory=lambda: CascadeRules(min_observations=5))
    clock: FakeClock = field(default_factory=FakeClock)
    metrics: Metrics = field(default_factory=lambda: Metrics.of("whale-detector"))
    out: list[Outgoing] = field(default_factory=list)
    table: dict[bytes, bytes] = field(default_factory=dict)
    poison: list[PoisonError] = field(default_factory=list)
    shard: WhaleShard = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> dict[str, int]:
        """A new process: all that is left is the table."""
        tools = Tools(self.clock, Counts(self.metrics), self.definition, cascades=self.cascades)
        self.shard = WhaleShard(0, tools)
        return dict(self.shard.restore(self.table))

    def flush(self) -> None:
        """Write the table, as the worker does each second."""
        for key, value in self.shard.dump():
            self.table[key] = value

    def feed(self, records: Iterable[Record]) -> None:
        for record in records:
            found = handle(self.shard, record)
            if found is not None:
                self.poison.append(found)
            self.out += self.shard.take_outbox()

    def trades(self, messages: Iterable[Message], instrument: str = BTC) -> None:
        """Feed messages of the trades' topic, each at the next offset."""
        log = Log()
        name = topics.MARKET_TRADES_V1.name
        start = self.shard.offsets.get(name, 0)
        log.add(topics.MARKET_TRADES_V1, messages, instrument)
        self.feed(
            Record(name, 0, start + at, one.key, one.value, one.headers, 0)
            for at, one in enumerate(log.records[name])
        )

    def ignored(self, cause: str) -> float:
        """How many prints were kept out for a cause."""
        value = self.metrics.registry.get_sample_value(
            "teleglas_whale_ignored_prints_total", {"cause": cause}
        )
        return value or 0.0

    @property
    def alerts(self) -> list[WhaleAlert]:
        return alerts_of(self.out)

    @property
    def last(self) -> dict[str, bytes]:
        return last_revisions(self.alerts)


def alerts_of(out: Iterable[Outgoing]) -> list[WhaleAlert]:
    """The alerts among what was published, in order."""
    found: list[WhaleAlert] = []
    for one in out:
        message = decode(Record(one.topic, one.partition, 0, one.key, one.value, one.headers, 0))
        if isinstance(message, WhaleAlert):
            found.append(message)
    return found


def last_revisions(alerts: Iterable[WhaleAlert]) -> dict[str, bytes]:
    """The last revision of each id, without what may differ between two runs."""
    return {
        alert.id: without_volatile(alert).SerializeToString(deterministic=True) for alert in alerts
    }
