"""What the topics already hold of our instruments: last trades and reference data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping

import structlog
from google.protobuf.message import Message

from teleglas.market.v1.instrument_pb2 import Instrument as InstrumentMessage
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import EARLIEST, Bus, PoisonError, TopicPartition
from teleglas_contracts import topics
from teleglas_ingest.pipeline.feed import Tail

__all__ = ["read_instruments", "read_tails"]

_log = structlog.get_logger(__name__)

FIRST_WINDOW = 2_000
LAST_WINDOW = 200_000
"""Records of a partition that are looked through at most: some hours of a busy asset."""
POLL_RECORDS = 5_000


async def read_tails(bus: Bus, venue: str, symbols: Collection[str]) -> dict[str, Tail]:
    """`venue:symbol` → its last trade in market.trades, for those that have one near the end."""
    topic = topics.MARKET_TRADES_V1
    wanted: dict[int, set[str]] = {}
    for symbol in symbols:
        wanted.setdefault(topic.partition(symbol), set()).add(symbol)
    begins, ends = await bus.begins([topic.name]), await bus.ends([topic.name])
    found: dict[str, Tail] = {}
    window = FIRST_WINDOW
    while wanted and window <= LAST_WINDOW:
        starts: dict[TopicPartition, int] = {}
        for number in wanted:
            partition = TopicPartition(topic.name, number)
            end = ends.get(partition, 0)
            start = max(begins.get(partition, 0), end - window)
            if start < end:
                starts[partition] = start
        async for message in _between(bus, starts, ends):
            if isinstance(message, TradeBatch) and message.venue == venue:
                _note(found, message)
        wanted = {
            number: missing
            for number, names in wanted.items()
            if (missing := {s for s in names if f"{venue}:{s}" not in found})
            and starts.get(TopicPartition(topic.name, number), 0)
            > begins.get(TopicPartition(topic.name, number), 0)
        }
        window *= 10
    return found


def _note(found: dict[str, Tail], batch: TradeBatch) -> None:
    key = f"{batch.venue}:{batch.instrument}"
    before = found.get(key, Tail())
    sequence, ts_event = before.trade_sequence, before.ts_event
    for trade in batch.trades:
        if trade.HasField("sequence") and (sequence is None or trade.sequence > sequence):
            sequence, ts_event = trade.sequence, trade.ts_event
    if sequence is not None:
        found[key] = Tail(sequence, ts_event)


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
