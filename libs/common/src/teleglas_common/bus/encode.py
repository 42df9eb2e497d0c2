"""From a protobuf message to a record and back: the headers that every record carries."""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf.message import DecodeError, Message
from opentelemetry import trace

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter
from teleglas_common.bus.ports import Headers, Outgoing, PoisonError, Record
from teleglas_contracts.messages import MESSAGES
from teleglas_contracts.topic import Topic
from teleglas_contracts.topics import ALL

__all__ = [
    "EVENT_ID",
    "MAX_RECORD_BYTES",
    "PRODUCED_AT",
    "REDRIVES",
    "SCHEMA",
    "TRACEPARENT",
    "decode",
    "header",
    "outgoing",
]

SCHEMA = "schema"
EVENT_ID = "event-id"
PRODUCED_AT = "produced-at"
"""Header: when the record was made, ns UTC as decimal digits."""
TRACEPARENT = "traceparent"
REDRIVES = "redrives"
"""Header: how often a dead letter was sent back to where it came from, as decimal digits."""

MAX_RECORD_BYTES = 4 << 20
"""A larger value is poison; topics accept no larger record either."""

_KINDS = {name.encode(): (name, kind) for name, kind in MESSAGES.items()}
_TOPIC_SCHEMAS: dict[str, tuple[str, ...]] = {topic.name: topic.schemas for topic in ALL} | {
    topic.dead_letter: (DeadLetter.DESCRIPTOR.full_name,) for topic in ALL if topic.dead_letter
}
_schema_headers: dict[tuple[str, type[Message]], tuple[str, bytes]] = {}


def outgoing(
    topic: Topic,
    message: Message,
    *,
    key: str,
    subject: str,
    now_ns: int,
    event_id: str | None = None,
) -> Outgoing:
    """Encode a message for its topic; `subject` decides the partition, see `Topic.partition`.

    The current span, if there is one, travels in the `traceparent` header.
    """
    kind = type(message)
    schema = _schema_headers.get((topic.name, kind)) or _schema_header(topic, kind)
    headers: Headers = (schema, (PRODUCED_AT, b"%d" % now_ns))
    if event_id is not None:
        headers += ((EVENT_ID, event_id.encode()),)
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        flags = int(span.trace_flags)
        parent = f"00-{span.trace_id:032x}-{span.span_id:016x}-{flags:02x}"
        headers += ((TRACEPARENT, parent.encode()),)
    return Outgoing(
        topic.name,
        topic.partition(subject),
        key.encode(),
        message.SerializeToString(),
        headers,
    )


def decode(
    record: Record,
    *,
    schemas: Collection[str] | None = None,
    max_bytes: int = MAX_RECORD_BYTES,
) -> Message:
    """Decode by the `schema` header; `schemas` are those that the topic may carry, by default
    those of its manifest.

    Raises PoisonError: too_large, missing_value, missing_schema, unknown_schema, foreign_schema
    (known, but not of this topic) or decode_failed.
    """
    value = record.value
    if value is None:
        raise PoisonError("missing_value", f"expected a message, was a tombstone of {record.key!r}")
    if len(value) > max_bytes:
        raise PoisonError("too_large", f"expected at most {max_bytes} bytes, was {len(value)}")
    schema = header(record.headers, SCHEMA)
    if schema is None:
        raise PoisonError("missing_schema", f"expected a {SCHEMA} header, was {record.headers!r}")
    known = _KINDS.get(schema)
    if known is None:
        raise PoisonError("unknown_schema", f"expected a schema of the catalogue, was {schema!r}")
    name, kind = known
    allowed = schemas if schemas is not None else _TOPIC_SCHEMAS.get(record.topic)
    if allowed is not None and name not in allowed:
        raise PoisonError(
            "foreign_schema", f"expected one of {sorted(allowed)} on {record.topic}, was {name!r}"
        )
    try:
        return kind.FromString(value)
    except DecodeError as error:
        raise PoisonError("decode_failed", f"expected a {name}, was: {error}") from error


def header(headers: Headers, name: str) -> bytes | None:
    """First value of a header, None where it is missing."""
    for key, value in headers:
        if key == name:
            return value
    return None


def _schema_header(topic: Topic, kind: type[Message]) -> tuple[str, bytes]:
    name = kind.DESCRIPTOR.full_name
    if name not in topic.schemas:
        raise ValueError(f"expected one of {topic.schemas} on {topic.name}, was {name}")
    found = _schema_headers[topic.name, kind] = (SCHEMA, name.encode())
    return found
