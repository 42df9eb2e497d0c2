"""From the traces of trades to those of the alerts that they are in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind

from teleglas_common.bus.tracing import MAX_LINKS
from teleglas_whale_detector.ports import Market

__all__ = ["TracedTrades"]

MAX_MARKETS = 2_000
KEEP = "teleglas.keep"
"""Tail sampling keeps traces with it: the frames that made an alert, and the alert's way on."""
_tracer = trace.get_tracer("teleglas.whale-detector")


@dataclass(slots=True)
class TracedTrades:
    """Remembers, of each market, the spans of its newest sampled trades."""

    _spans: dict[Market, deque[SpanContext]] = field(default_factory=dict)

    def note(self, market: Market) -> None:
        """Trades of this market are handled in the current span."""
        context = trace.get_current_span().get_span_context()
        if context.is_valid and context.trace_flags.sampled and len(self._spans) < MAX_MARKETS:
            self._spans.setdefault(market, deque(maxlen=MAX_LINKS)).append(context)

    @contextmanager
    def publishing(self, market: Market) -> Iterator[None]:
        """A span that links to those trades, the newest first; none where none was sampled."""
        contexts = self._spans.get(market)
        if not contexts:
            yield
            return
        trace.get_current_span().set_attribute(KEEP, True)
        links = [Link(context) for context in reversed(contexts)]
        attributes: dict[str, str | bool] = {"market": ":".join(market), KEEP: True}
        with _tracer.start_as_current_span(
            "publish alert", kind=SpanKind.PRODUCER, links=links, attributes=attributes
        ):
            yield
