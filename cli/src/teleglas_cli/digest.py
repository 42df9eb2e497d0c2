"""One hash over what a topic says, blind to everything that may differ between two runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from google.protobuf.message import Message

from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_common.bus.encode import decode, header
from teleglas_common.bus.ports import Record
from teleglas_contracts.messages import without_volatile

__all__ = ["Digest", "DigestError"]


class DigestError(Exception):
    """A record that has no place in a digest."""


@dataclass(slots=True)
class Digest:
    """The last revision of each event id of one topic.

    Feed every partition in offset order. Progress marks do not count, and a batch counts as the
    trades in it, so that its borders change nothing.
    """

    events: dict[str, bytes] = field(default_factory=dict)

    def add(self, records: Iterable[Record]) -> None:
        """Take records in; a later one of the same event id replaces the earlier."""
        for record in records:
            for event_id, payload in _events(record):
                self.events[event_id] = hashlib.sha256(payload).digest()

    def hexdigest(self) -> str:
        """SHA-256 over (id, payload hash) of all events, sorted by id."""
        total = hashlib.sha256()
        for event_id in sorted(self.events):
            name = event_id.encode()
            total.update(len(name).to_bytes(4, "big") + name + self.events[event_id])
        return total.hexdigest()


def _events(record: Record) -> Iterator[tuple[str, bytes]]:
    message = decode(record)
    if isinstance(message, Progress):
        return
    if isinstance(message, TradeBatch):
        yield from _trades(message)
        return
    event_id = header(record.headers, "event-id")
    if event_id is None:
        raise DigestError(
            f"expected an event-id header, found none ({record.topic}[{record.partition}]"
            f" offset {record.offset})"
        )
    yield event_id.decode(), _stable(message)


def _trades(batch: TradeBatch) -> Iterator[tuple[str, bytes]]:
    scale = (batch.price_exponent, batch.size_exponent, batch.contracts_exponent)
    prefix = f"{batch.venue}:{batch.instrument}"
    for trade in batch.trades:
        event_id = f"{prefix}:{trade.kind}:{trade.id}"
        yield event_id, repr(scale).encode() + _stable(trade)


def _stable(message: Message) -> bytes:
    return without_volatile(message).SerializeToString(deterministic=True)
