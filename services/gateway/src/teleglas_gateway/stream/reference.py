"""Reference data from compacted topics: which instruments are listed, and each topic's epoch."""

from __future__ import annotations

from teleglas.market.v1 import instrument_pb2
from teleglas_common.bus.encode import decode
from teleglas_common.bus.epochs import fold_epochs
from teleglas_common.bus.ports import EARLIEST, Bus, PoisonError, Reader, Record, TopicPartition
from teleglas_contracts.topics import CONTROL_TOPICS_V1, MARKET_INSTRUMENTS_V1
from teleglas_gateway.channels.shared import enum_name
from teleglas_gateway.domain.symbols import Catalogue, Listing

__all__ = ["EpochChangedError", "Reference"]

TOPICS = (CONTROL_TOPICS_V1, MARKET_INSTRUMENTS_V1)


MAX_QUIET_TURNS = 5
"""Compaction may have taken the last records before an end: so many empty polls mean the end."""


class EpochChangedError(RuntimeError):
    """A topic was created anew under a running gateway: every position it knows is void."""


class Reference:
    """Reads both topics whole, then follows them."""

    def __init__(self, bus: Bus, catalogue: Catalogue) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._reader: Reader | None = None
        self._live = False
        self._next: dict[TopicPartition, int] = {}
        self.epochs: dict[str, str] = {}

    async def start(self) -> None:
        ends = await self._bus.ends([topic.name for topic in TOPICS])
        self._reader = self._bus.reader(dict.fromkeys(ends, EARLIEST))
        await self._reader.start()
        await self.catch_up()
        self._live = True

    async def catch_up(self) -> None:
        """Read up to what is there now: whoever is served knows every listing of this moment."""
        if self._reader is None:
            raise RuntimeError("expected started reference data")
        ends = await self._bus.ends([topic.name for topic in TOPICS])
        begins = await self._bus.begins([topic.name for topic in TOPICS])
        left = {
            part: end
            for part, end in ends.items()
            if max(begins[part], self._next.get(part, 0)) < end
        }
        quiet_turns = 0
        while left and quiet_turns < MAX_QUIET_TURNS:
            reached = await self._turn(self._reader)
            quiet_turns = 0 if reached else quiet_turns + 1
            for partition, offset in reached.items():
                if offset + 1 >= left.get(partition, 0):
                    left.pop(partition, None)

    async def run(self) -> None:
        """Follow until cancelled; EpochChangedError ends the process, which then starts afresh."""
        if self._reader is None:
            raise RuntimeError("expected started reference data")
        while True:
            await self._turn(self._reader)

    async def stop(self) -> None:
        if self._reader is not None:
            await self._reader.stop()
            self._reader = None

    async def _turn(self, reader: Reader) -> dict[TopicPartition, int]:
        polled = await reader.poll(max_records=5000, timeout_s=1.0)
        for partition, records in polled.items():
            for record in records:
                if partition.topic == CONTROL_TOPICS_V1.name:
                    self._take_epoch(record)
                else:
                    self._take_instrument(record)
        reached = {partition: records[-1].offset for partition, records in polled.items()}
        self._next.update({partition: offset + 1 for partition, offset in reached.items()})
        return reached

    def _take_epoch(self, record: Record) -> None:
        topic = (record.key or b"").decode(errors="replace")
        before = self.epochs.get(topic)
        if self._live and record.value is None and before is not None:
            raise EpochChangedError(f"expected {topic} to keep epoch {before}, it was made anew")
        fold_epochs(self.epochs, record)

    def _take_instrument(self, record: Record) -> None:
        if record.value is None:
            venue, _, instrument = (record.key or b"").decode(errors="replace").partition(":")
            self._catalogue.remove(venue, instrument)
            return
        try:
            message = decode(record)
        except PoisonError:
            # a listing that cannot be read lists nothing; market-data counts and keeps it
            return
        if isinstance(message, instrument_pb2.Instrument):
            kind = enum_name(
                instrument_pb2.InstrumentKind.DESCRIPTOR, message.kind, "INSTRUMENT_KIND_"
            )
            self._catalogue.add(Listing(message.venue, message.instrument, kind))
