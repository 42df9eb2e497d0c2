"""Records that can never be handled: kept whole, with where they were and why."""

from __future__ import annotations

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter, Header
from teleglas_common.bus.encode import REDRIVES, header, outgoing
from teleglas_common.bus.ports import Outgoing, PoisonError, Record
from teleglas_contracts.topic import PartitionBy, Topic
from teleglas_contracts.topics import DEAD_LETTER_RETENTION_MS, DEAD_LETTER_SCHEMA

__all__ = ["DEAD_LETTER_PARTITIONS", "dead_letter", "redrives_of", "twin"]

DEAD_LETTER_PARTITIONS = 1
"""Dead letters are few and people read them: one partition shows them in one order."""

_MAX_DETAIL = 2_000
_MAX_DIGITS = 6


def twin(topic: Topic) -> Topic:
    """The dead-letter topic of a topic that has one."""
    if topic.dead_letter is None:
        raise ValueError(f"expected a topic with a dead-letter twin, was {topic.name}")
    return Topic(
        name=topic.dead_letter,
        purpose=f"What could not be handled of {topic.name}.",
        owner=topic.owner,
        key="topic:partition:offset",
        partition_by=PartitionBy.NONE,
        schemas=(DEAD_LETTER_SCHEMA,),
        producers=topic.consumers,
        consumers=(),
        partitions=DEAD_LETTER_PARTITIONS,
        compacted=False,
        retention_ms=DEAD_LETTER_RETENTION_MS,
        dead_letter=None,
    )


def dead_letter(
    topic: Topic, record: Record, poison: PoisonError, *, consumer: str, now_ns: int
) -> Outgoing:
    """Wrap a poison record of `topic`; the event id is the same when it is read again."""
    where = f"{record.topic}:{record.partition}:{record.offset}"
    message = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key or b"",
        value=record.value or b"",
        headers=[Header(name=name, value=value) for name, value in record.headers],
        cause=poison.cause,
        detail=poison.detail[:_MAX_DETAIL],
        consumer=consumer,
        ts_failed=now_ns,
        redrives=redrives_of(record),
    )
    return outgoing(
        twin(topic),
        message,
        key=where,
        subject=where,
        event_id=f"{where}:{consumer}",
        now_ns=now_ns,
    )


def redrives_of(record: Record) -> int:
    """How often a record was redriven already; a header that is no number counts as once."""
    value = header(record.headers, REDRIVES)
    if value is None:
        return 0
    return int(value) if value.isdigit() and len(value) <= _MAX_DIGITS else 1
