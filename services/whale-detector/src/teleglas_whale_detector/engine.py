"""The detector without Faust: records in, records out. Live, in replays and in benchmarks the same
code.
"""

from __future__ import annotations

from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import Incoming, PoisonError, Record
from teleglas_common.bus.tracing import consumer_span, is_sampled
from teleglas_whale_detector.routes import INPUTS, ROUTES
from teleglas_whale_detector.shard import BOOKS, WhaleShard

__all__ = ["handle", "is_covered"]

_TOPICS = {topic.name: topic for topic in INPUTS}
_HANDLERS = {(row.topic.name, row.schema): row.handler for row in ROUTES}


def is_covered(shard: WhaleShard, record: Record) -> bool:
    """Whether the state holds this record already: then it changes nothing."""
    if record.topic == BOOKS and shard.rewound_from:
        return False
    return record.offset < shard.offsets.get(record.topic, 0)


def handle(shard: WhaleShard, record: Record) -> PoisonError | None:
    """Take one record into the state; what can never be handled comes back.

    A record that the state covers changes nothing; one of the books' topic that is read again only
    rebuilds the books.
    """
    if is_covered(shard, record):
        return None
    poison: PoisonError | None = None
    covered = shard.offsets.get(record.topic, 0)
    shard.marks.silences.heard(record.topic)
    try:
        if is_sampled(record):
            with consumer_span(f"process {record.topic}", (record,)):
                _dispatch(shard, record)
        else:
            _dispatch(shard, record)
    except PoisonError as error:
        poison = error
    shard.offsets[record.topic] = max(covered, record.offset + 1)
    return poison


def _dispatch(shard: WhaleShard, record: Record) -> None:
    topic = _TOPICS[record.topic]
    message = decode(record, schemas=topic.schemas)
    handler = _HANDLERS.get((record.topic, type(message)))
    if handler is not None:
        handler(shard, Incoming(message, record))
