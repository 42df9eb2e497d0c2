"""A score's trace leads back to the candles and alerts that went into it."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from signal_feeds import BEGIN, SECOND, Market, alert, record
from signal_rig import Rig

from teleglas_common.bus import tracing
from teleglas_common.bus.encode import TRACEPARENT, header
from teleglas_common.bus.testing import publish, read_all
from teleglas_contracts import topics
from teleglas_signal_scorer import traced


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(traced, "_tracer", provider.get_tracer("test"))
    return exporter


async def test_score_links_to_the_alert_that_it_counts(spans: InMemorySpanExporter) -> None:
    """From the alert's producer over our consumer span to the record of the score."""
    rig = Rig()
    await rig.create()
    candles = Market(late_share=0.0).candles(3)
    whale = alert(1, BEGIN + 95 * SECOND, 50_000)
    with tracing._tracer.start_as_current_span("publish alert") as origin:
        traced_alert = record(whale)
        alert_trace = origin.get_span_context().trace_id
    await rig.send(candles[:60])
    await publish(rig.bus, [traced_alert])
    await rig.send([*candles[60:], *Market().alerts(3)])
    await rig.drain()
    finished = spans.get_finished_spans()
    process = next(one for one in finished if one.name.startswith("process"))
    assert process.parent is not None
    assert process.parent.trace_id == alert_trace
    says = [one for one in finished if one.name == "publish score"]
    assert len(says) == 1
    assert [link.context.span_id for link in says[0].links] == [process.context.span_id]
    records = await read_all(rig.bus, topics.SIGNAL_SCORES_V1.name)
    parents = [
        value
        for some in records.values()
        for one in some
        if (value := header(one.headers, TRACEPARENT)) is not None
    ]
    assert [f"{says[0].context.span_id:016x}".encode() in value for value in parents] == [True]
