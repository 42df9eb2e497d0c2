"""What the topics already hold of our instruments: last trades, open gaps, reference data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping

import structlog
from google.protobuf.message import Message

from teleglas.market.v1.gap_pb2 import GAP_RESOLUTION_OPEN
from teleglas.market.v1.gap_pb2 import Gap as GapMessage
from teleglas.market.v1.instrument_pb2 import Instrument as InstrumentMessage
from teleglas.market.v1.liquidation_pb2 import Liquidation as LiquidationMessage
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import EARLIEST, Bus, PoisonError, TopicPartition
from teleglas_contracts import topics
from teleglas_ingest.pipeline.tail import LeftGap, LiquidationKey, Tail

__all__ = ["read_instruments", "read_tails"]

_log = structlog.get_logger(__name__)

FIRST_WINDOW = 2_000
LAST_WINDOW = 200_000
"""Records of a partition that are looked through at most: some hours of a busy asset."""
GAPS_WINDOW = 20_000
"""Records of gaps of a partition: days, as every gap is some few of them."""
LIQUIDATIONS_WINDOW = 5_000
"""Records of liquidations of a partition, marks among them: more than a lease lasts."""
POLL_RECORDS = 5_000


class _Scan:
    """What the trades topic says of one instrument, and of the ids that its open gaps miss."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.ts_event = 0
        self.oldest: int | None = None
        self.seen: set[int] = set()
        self.gaps: list[GapMessage] = []
        self.liquidations: set[LiquidationKey] = set()

    def note(self, batch: TradeBatch) -> None:
        ranges = [(g.first_missing, g.last_missing) for g in self.gaps if g.last_missing]
        for trade in batch.trades:
            if not trade.HasField("sequence"):
                continue
            sequence = trade.sequence
            if self.last is None or sequence > self.last:
                self.last, self.ts_event = sequence, trade.ts_event
            if self.oldest is None or sequence < self.oldest:
                self.oldest = sequence
            if any(first <= sequence <= last for first, last in ranges):
                self.seen.add(sequence)

    @property
    def is_complete(self) -> bool:
        """All that was ever fetched of a gap stands behind the trades before it."""
        firsts = [gap.first_missing for gap in self.gaps if gap.last_missing]
        return self.oldest is not None and all(self.oldest < first for first in firsts)

    @property
    def tail(self) -> Tail:
        left = tuple(self._left(gap) for gap in self.gaps)
        return Tail(self.last, self.ts_event, left, frozenset(self.liquidations))

    @property
    def has_something(self) -> bool:
        return self.last is not None or bool(self.gaps or self.liquidations)

    def _left(self, gap: GapMessage) -> LeftGap:
        return LeftGap(
            id=gap.id,
            channel=gap.channel,
            cause=gap.cause,
            ts_from=gap.ts_from,
            ts_to=gap.ts_to,
            first_missing=gap.first_missing,
            last_missing=gap.last_missing,
            missing=tuple(self._missing(gap.first_missing, gap.last_missing)),
        )

    def _missing(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        for sequence in sorted(s for s in self.seen if first <= s <= last):
            if first < sequence:
                yield first, sequence - 1
            first = sequence + 1
        last = min(last, self.last or 0)
        if first <= last:
            yield first, last


async def read_tails(bus: Bus, venue: str, symbols: Collection[str]) -> dict[str, Tail]:
    """`venue:symbol` → its last trade in market.trades and the gaps that are open, for those that
    have something near the end.
    """
    topic = topics.MARKET_TRADES_V1
    found = {f"{venue}:{symbol}": _Scan() for symbol in symbols}
    await _note_open_gaps(bus, found, symbols)
    await _note_liquidations(bus, found, symbols)
    wanted: dict[int, set[str]] = {}
    for symbol in symbols:
        wanted.setdefault(topic.partition(symbol), set()).add(symbol)
    begins, ends = await bus.begins([topic.name]), await bus.ends([topic.name])
    window = FIRST_WINDOW
    while wanted and window <= LAST_WINDOW:
        starts = _starts(topic.name, wanted, begins, ends, window)
        async for message in _between(bus, starts, ends):
            if isinstance(message, TradeBatch):
                scan = found.get(f"{message.venue}:{message.instrument}")
                if scan is not None:
                    scan.note(message)
        wanted = {
            number: missing
            for number, names in wanted.items()
            if (missing := {s for s in names if not found[f"{venue}:{s}"].is_complete})
            and starts.get(TopicPartition(topic.name, number), 0)
            > begins.get(TopicPartition(topic.name, number), 0)
        }
        window *= 10
    return {key: scan.tail for key, scan in found.items() if scan.has_something}


async def _note_open_gaps(bus: Bus, found: Mapping[str, _Scan], symbols: Collection[str]) -> None:
    """Gaps whose last revision near the end of market.gaps is open."""
    topic = topics.MARKET_GAPS_V1
    begins, ends = await bus.begins([topic.name]), await bus.ends([topic.name])
    numbers = {topic.partition(symbol) for symbol in symbols}
    newest: dict[str, GapMessage] = {}
    async for message in _between(
        bus, _starts(topic.name, numbers, begins, ends, GAPS_WINDOW), ends
    ):
        if isinstance(message, GapMessage):
            newest[message.id] = message
    for gap in newest.values():
        scan = found.get(f"{gap.venue}:{gap.instrument}")
        if scan is not None and gap.resolution == GAP_RESOLUTION_OPEN:
            scan.gaps.append(gap)


async def _note_liquidations(
    bus: Bus, found: Mapping[str, _Scan], symbols: Collection[str]
) -> None:
    topic = topics.MARKET_LIQUIDATIONS_V1
    begins, ends = await bus.begins([topic.name]), await bus.ends([topic.name])
    numbers = {topic.partition(symbol) for symbol in symbols}
    starts = _starts(topic.name, numbers, begins, ends, LIQUIDATIONS_WINDOW)
    async for message in _between(bus, starts, ends):
        if isinstance(message, LiquidationMessage):
            scan = found.get(f"{message.venue}:{message.instrument}")
            if scan is not None:
                scan.liquidations.add(
                    (int(message.side), message.price, message.size, message.ts_event)
                )


def _starts(
    topic: str,
    numbers: Iterable[int],
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    window: int,
) -> dict[TopicPartition, int]:
    starts: dict[TopicPartition, int] = {}
    for number in numbers:
        partition = TopicPartition(topic, number)
        start = max(begins.get(partition, 0), ends.get(partition, 0) - window)
        if start < ends.get(partition, 0):
            starts[partition] = start
    return starts


async def read_instruments(bus: Bus, venue: str) -> dict[str, InstrumentMessage]:
    """Symbol → the newest reference data of a venue's instruments in market.instruments."""
    topic = topics.MARKET_INSTRUMENTS_V1
    begins, ends = await bus.begins([topic.name]), await bus.ends([topic.name])
    starts = {p: EARLIEST for p, end in ends.items() if begins.get(p, 0) < end}
    found: dict[str, InstrumentMessage] = {}
    async for message in _between(bus, starts, ends):
        if isinstance(message, InstrumentMessage) and message.venue == venue:
            found[message.instrument] = message
    return found


async def _between(
    bus: Bus, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> AsyncIterator[Message]:
    """Messages from `starts` up to `ends`; records that cannot be read are passed over."""
    missing = set(starts)
    if not missing:
        return
    reader = bus.reader(dict(starts))
    await reader.start()
    try:
        while missing:
            polled = await reader.poll(max_records=POLL_RECORDS, timeout_s=0.5)
            for partition, records in polled.items():
                for record in records:
                    if record.offset < ends[partition] and record.value is not None:
                        try:
                            yield decode(record)
                        except PoisonError as error:
                            _log.warning("unreadable record in the tail", cause=error.cause)
                if records and records[-1].offset >= ends[partition] - 1:
                    missing.discard(partition)
            if not polled:
                current = await bus.begins([p.topic for p in missing])
                missing = {p for p in missing if current.get(p, 0) < ends[p]}
    finally:
        await reader.stop()
