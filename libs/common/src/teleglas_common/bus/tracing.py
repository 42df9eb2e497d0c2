"""Consumer spans that tell the truth: one input is the parent, many are links."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from teleglas_common.bus.encode import TRACEPARENT, header
from teleglas_common.bus.ports import PoisonError, Record

__all__ = ["MAX_LINKS", "buried_span", "consumer_span", "is_sampled", "span_context"]

MAX_LINKS = 32
_tracer = trace.get_tracer("teleglas.bus")


def is_sampled(record: Record) -> bool:
    """Whether the producer's span is recorded, so that a span here has something to stand on."""
    value = header(record.headers, TRACEPARENT)
    context = None if value is None else span_context(value)
    return context is not None and context.trace_flags.sampled


def span_context(traceparent: bytes) -> SpanContext | None:
    """Parse a W3C traceparent header, None where it is malformed."""
    try:
        version, trace_id, span_id, flags = traceparent.decode("ascii").split("-")
        context = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))
    except ValueError:
        return None
    sized = (len(version), len(trace_id), len(span_id), len(flags)) == (2, 32, 16, 2)
    return context if sized and context.is_valid else None


@contextmanager
def consumer_span(name: str, inputs: Sequence[Record]) -> Iterator[None]:
    """Make a consumer's span current: the one input's span is its parent, else the inputs' spans
    are its links, at most 32, the triggering one first.
    """
    values = (header(record.headers, TRACEPARENT) for record in inputs)
    contexts = [context for value in values if value and (context := span_context(value))]
    parent = None
    links: list[Link] = []
    if len(inputs) == 1 and contexts:
        parent = trace.set_span_in_context(NonRecordingSpan(contexts[0]))
    else:
        links = [Link(context) for context in contexts[:MAX_LINKS]]
    attributes: dict[str, str | int] = {}
    if inputs:
        attributes = {
            "messaging.system": "kafka",
            "messaging.destination.name": inputs[0].topic,
            "messaging.destination.partition.id": str(inputs[0].partition),
            "messaging.kafka.message.offset": inputs[0].offset,
        }
    with _tracer.start_as_current_span(
        name, context=parent, kind=SpanKind.CONSUMER, links=links, attributes=attributes
    ):
        yield


@contextmanager
def buried_span(record: Record, poison: PoisonError) -> Iterator[None]:
    """The span under which a record goes to its dead-letter topic: an error, so that it is kept."""
    with consumer_span(f"bury {record.topic}", (record,)):
        trace.get_current_span().set_status(Status(StatusCode.ERROR, poison.cause))
        yield
