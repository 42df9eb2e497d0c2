"""Faust's consumer, changed in four ways: it goes on where the table stands, it hands records on
in pieces, it commits what was acknowledged in order, and it gathers the records of a quiet log.

Faust spends two tasks, a queue and a turn of the event loop on every message, many times what a
record costs the detector. So a message of its own is a piece of up to `PIECE` records of one
partition, in their order; the changelog's stay single, because Faust reads those itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from faust.transport.consumer import ensure_TP
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from teleglas_common.bus.ports import Record
from teleglas_common.kafka import READ_FEEDS_S, STORED_WITHIN_MS
from teleglas_common.rounds import ROUND_S, Gathering
from teleglas_whale_detector.routes import INPUTS

__all__ = ["PIECE", "Piece", "SeekingConsumer", "pieces_of"]

PIECE = 64
"""So many records are handled in one turn of the event loop."""
_INPUTS = frozenset(topic.name for topic in INPUTS)


class Restoring(Protocol):
    """Whoever makes its state from the table."""

    def restore(self, assigned: Any) -> Mapping[TP, int]: ...

    def expect(self, positions: Mapping[TP, int]) -> None: ...


class NoReadOffsets(dict[TP, int | None]):
    """Faust drops what lies below the offset that it read last, even after a seek behind it, when
    records of before the seek were still under way. Which record is next is known here.
    """

    def __getitem__(self, key: TP) -> None:
        return None


class Piece(ConsumerMessage):
    """Records of one partition in a row; its offset is the last one's."""

    __slots__ = ("records",)

    def __init__(self, tp: TP, raw: list[Any], generation_id: int) -> None:
        last = raw[-1]
        super().__init__(
            tp.topic, tp.partition, last.offset, (last.timestamp or 0) / 1000.0,
            last.timestamp_type, None, last.key, b"", None, 0, 0, tp, generation_id=generation_id,
        )  # fmt: skip
        self.records = [
            Record(
                tp.topic, tp.partition, one.offset, one.key, one.value, tuple(one.headers or ()),
                one.timestamp or 0,
            )
            for one in raw
        ]  # fmt: skip


class GatheringThread(AIOKafkaConsumerThread):
    """Faust's connection, with a wait for which it has no option."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        client = super()._create_worker_consumer(transport)
        gathering: Gathering = self.consumer.gathering  # type: ignore[attr-defined]
        client._fetch_min_bytes = gathering.min_bytes  # noqa: SLF001
        client._fetch_max_wait_ms = gathering.wait_ms  # noqa: SLF001
        return client


class SeekingConsumer(FaustConsumer):
    """The transport's consumer for the detector; `app.whale_worker` restores its shards."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = NoReadOffsets()
        self.gathering = Gathering(ROUND_S, READ_FEEDS_S, STORED_WITHIN_MS)

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return GatheringThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """To what the table covers; where it covers nothing, to the beginning. Left where it is, a
        partition would go on behind what Faust fetched and dropped during the rebalance.
        """
        await super().perform_seek()
        worker: Restoring = self.app.whale_worker  # type: ignore[attr-defined]
        assigned = self.assignment()
        positions = dict(worker.restore(assigned))
        new = [tp for tp in assigned if tp.topic in _INPUTS and tp not in positions]
        if new:
            begins = await self.earliest_offsets(*new)
            found = {ensure_TP(tp): offset for tp, offset in begins.items()}
            worker.expect(found)
            positions |= found
        await self.seek_wait(positions)
        self._committed_offset.update(positions)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """As Faust's, by pieces; topics and partitions take turns."""
        fetched, active = await self._wait_next_records(timeout)
        generation_id = self.app.consumer_generation_id
        if fetched is None or self.should_stop:
            return
        self.gathering.came(sum(map(len, fetched.values())))
        for tp, raw in self.scheduler.iterate(pieces_of(fetched)):
            if not self.flow_active or self.app.consumer_generation_id != generation_id:
                return
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if tp.topic in _INPUTS:
                yield tp, Piece(tp, raw, generation_id)
            else:
                yield tp, self._to_message(tp, raw[0])

    def _new_offset(self, tp: TP) -> int | None:
        """What to commit: pieces are acknowledged in order, so the newest covers the others."""
        acknowledged = self._acked[tp]
        if not acknowledged:
            return None
        newest: int = max(acknowledged)
        acknowledged.clear()
        self._acked_index[tp].clear()
        return newest + 1


def pieces_of(fetched: Mapping[Any, list[Any]]) -> dict[TP, list[list[Any]]]:
    """What was fetched of each partition, cut into pieces."""
    found: dict[TP, list[list[Any]]] = {}
    for place, raw in fetched.items():
        tp = ensure_TP(place)
        size = PIECE if tp.topic in _INPUTS else 1
        found[tp] = [raw[at : at + size] for at in range(0, len(raw), size)]
    return found
