"""One call of a channel: its span, its outcome, its limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from notification_samples import card, whale
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from teleglas_common.clock import ManualClock
from teleglas_common.telemetry import Metrics
from teleglas_notification import sending
from teleglas_notification.counts import Counts
from teleglas_notification.domain.people import Subscriber
from teleglas_notification.limits import Limiter
from teleglas_notification.pictures import Painter
from teleglas_notification.ports import (
    BlockedError,
    Composed,
    Job,
    Outcome,
    RefusedError,
    RetryLaterError,
    TransientError,
)
from teleglas_notification.sending import RetryPolicy, Sender

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JOB = Job(
    "m1", "alert", 1, "", 1, 0, Subscriber("default", "s1", "fake", "me"), (card(),), (PARENT,), 1
)
POLICY = RetryPolicy(tries=5, first_s=1.0, max_s=10.0, max_unconfirmed=2)


@dataclass
class FakeChannel:
    """Takes messages, or fails as it is told."""

    failure: Exception | None = None
    taken: list[Composed] = field(default_factory=list)
    name: str = "telegram"
    takes_pictures: bool = True

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, address: str, message: Composed, message_id: str) -> str:
        del address, message_id
        if self.failure is not None:
            raise self.failure
        self.taken.append(message)
        return "ref"

    async def edit(self, address: str, ref: str, message: Composed, message_id: str) -> None:
        del ref
        await self.send(address, message, message_id)


class NoCandles:
    """market-data is away."""

    async def recent(self, venue: str, instrument: str, ts_event: int) -> list[tuple[int, float]]:
        raise ConnectionError(f"{venue} {instrument} {ts_event}")


def sender_of(
    channel: FakeChannel, metrics: Metrics | None = None, painter: Painter | None = None
) -> Sender:
    clock = ManualClock()
    counts = Counts(metrics or Metrics())
    return Sender(channel, Limiter(clock, 10.0), painter, POLICY, clock, counts)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(sending, "_tracer", provider.get_tracer("tests"))
    return exporter


async def test_call_is_a_child_of_the_span_of_the_record(spans: InMemorySpanExporter) -> None:
    """So one trade's trace reaches the message."""
    await sender_of(FakeChannel()).send(JOB)
    (span,) = spans.get_finished_spans()
    assert span.name == "send telegram"
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" in PARENT
    assert f"{span.parent.span_id:016x}" in PARENT


async def test_call_of_a_summary_links_to_all_of_its_records(spans: InMemorySpanExporter) -> None:
    """Of many inputs none is the parent."""
    job = replace(JOB, kind="burst", cards=(card(1), card(2)), traceparents=(PARENT, PARENT))
    await sender_of(FakeChannel()).send(job)
    (span,) = spans.get_finished_spans()
    assert span.parent is None
    assert len(span.links) == 2


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RetryLaterError(7.0), Outcome("retry", "", 7 * 10**9, "asked to wait 7 s", counts=False)),
        (BlockedError("no"), Outcome("blocked", reason="no")),
        (RefusedError("bad"), Outcome("failed", reason="bad")),
    ],
)
async def test_failure_becomes_an_outcome(failure: Exception, expected: Outcome) -> None:
    """What is asked for, what is final."""
    assert await sender_of(FakeChannel(failure)).send(JOB) == expected


async def test_passing_failure_waits_longer_each_time_up_to_a_bound() -> None:
    """With jitter of at most half."""
    sender = sender_of(FakeChannel(TransientError("away", unconfirmed=True)))
    waits = [(await sender.send(replace(JOB, attempts=n))).wait_ns / 1e9 for n in (1, 2, 3, 4, 5)]
    for wait, full in zip(waits, (1, 2, 4, 8, 10), strict=True):
        assert full / 2 <= wait <= full
    assert (await sender.send(JOB)).unconfirmed
    assert not (await sender.send(replace(JOB, ref="r"))).unconfirmed


async def test_message_is_given_up_after_its_tries_or_too_many_unseen_ends() -> None:
    """It is kept as failed, without another call."""
    channel = FakeChannel()
    sender = sender_of(channel)
    assert (await sender.send(replace(JOB, attempts=6))).status == "failed"
    assert (await sender.send(replace(JOB, unconfirmed=3))).status == "failed"
    assert channel.taken == []


async def test_possible_repeat_is_counted_once_for_each_call() -> None:
    """Only calls after one whose end nobody saw."""
    metrics = Metrics()
    sender = sender_of(FakeChannel(), metrics)
    await sender.send(JOB)
    await sender.send(replace(JOB, unconfirmed=1))
    counter = metrics.counter("teleglas_notification_possible_repeats_total", "telegram")
    assert counter._value.get() == 1


async def test_message_without_candles_goes_without_a_picture() -> None:
    """The message matters more."""
    channel = FakeChannel()
    painter = Painter(NoCandles(), Counts(Metrics()))  # type: ignore[arg-type]
    assert (await sender_of(channel, painter=painter).send(JOB)).status == "sent"
    assert channel.taken[0].picture is None


async def test_limiter_keeps_the_pace_and_pauses_for_all() -> None:
    """Ten a second, and not before the pause is over."""
    clock = ManualClock()
    limiter = Limiter(clock, 10.0)
    for _ in range(5):
        limiter.took()
    assert limiter.wait_s() == pytest.approx(0.5)
    limiter.pause(7.0)
    assert limiter.wait_s() == pytest.approx(7.0)
    await clock.advance(7.0)
    assert limiter.wait_s() == 0.0


def test_composed_edit_says_so_in_its_facts() -> None:
    """A webhook's receiver tells the first call from the next ones."""
    first, edit = sending.compose(JOB), sending.compose(replace(JOB, ref="r"))
    assert (first.facts["type"], edit.facts["type"]) == ("whale.alert", "whale.updated")
    assert (
        sending.compose(replace(JOB, cards=(card(whale=whale(kind="block")),))).html != first.html
    )
