"""Which spans are recorded."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import Link, SpanContext, TraceFlags

from teleglas_common.telemetry.tracing import LinkedOrRatio


def context(*, sampled: bool) -> SpanContext:
    return SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(int(sampled)))


@pytest.mark.parametrize(
    ("ratio", "links", "recorded"),
    [
        (0.0, [], False),
        (1.0, [], True),
        (0.0, [context(sampled=False)], False),
        (0.0, [context(sampled=False), context(sampled=True)], True),
    ],
)
def test_a_root_span_is_recorded_by_ratio_or_for_what_it_links_to(ratio, links, recorded):
    """A link to a recorded span carries its trace on, whatever the ratio."""
    provider = TracerProvider(sampler=ParentBased(LinkedOrRatio(ratio)))
    span = provider.get_tracer("test").start_span("root", links=[Link(one) for one in links])
    assert span.is_recording() is recorded
