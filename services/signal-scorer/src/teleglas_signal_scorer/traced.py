"""From the traces of candles and alerts to that of the score that they went into."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind

from teleglas_common.bus.tracing import MAX_LINKS

__all__ = ["TracedInputs"]

_tracer = trace.get_tracer("teleglas.signal-scorer")


@dataclass(slots=True)
class TracedInputs:
    """Remembers, of each instrument, the spans of its newest sampled inputs until a score goes."""

    _spans: dict[str, deque[SpanContext]] = field(default_factory=dict)

    def note(self, instrument: str) -> None:
        """An input of this instrument is handled in the current span."""
        context = trace.get_current_span().get_span_context()
        if context.is_valid and context.trace_flags.sampled:
            self._spans.setdefault(instrument, deque(maxlen=MAX_LINKS)).append(context)

    @contextmanager
    def publishing(self, instrument: str) -> Iterator[None]:
        """A span that links to those inputs, the triggering one first; none without any."""
        contexts = self._spans.pop(instrument, None)
        if not contexts:
            yield
            return
        with _tracer.start_as_current_span(
            "publish score",
            kind=SpanKind.PRODUCER,
            links=[Link(context) for context in reversed(contexts)],
            attributes={"instrument": instrument},
        ):
            yield
