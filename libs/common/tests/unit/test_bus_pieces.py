"""The bus's pieces that need no bus."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_common.bus import tracing
from teleglas_common.bus.assign import co_assign
from teleglas_common.bus.encode import decode, header, outgoing
from teleglas_common.bus.inbox import Inbox
from teleglas_common.bus.kafka import KafkaSettings
from teleglas_common.bus.kafka.admin import KafkaAdmin, topic_options
from teleglas_common.bus.kafka.guard import StallGuard
from teleglas_common.bus.kafka.watch import ProgressWatch
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Outgoing, PoisonError, PublishError, Record, TopicPartition
from teleglas_common.bus.shards import Fence
from teleglas_common.bus.testing import make_topic, numbered, publish
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.kafka import kafka_settings
from teleglas_common.settings import KafkaSection
from teleglas_contracts import topics


def as_record(sent: Outgoing) -> Record:
    return Record(sent.topic, sent.partition, 5, sent.key, sent.value, sent.headers, 0)


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 12), min_size=1),
    st.dictionaries(
        st.sampled_from(["m1", "m2", "m3", "m4"]),
        st.sets(st.sampled_from(["a", "b", "c"]), min_size=1).map(sorted),
        min_size=1,
    ),
)
def test_co_assign_gives_every_readable_partition_one_owner(
    partitions: dict[str, int], members: dict[str, list[str]]
) -> None:
    """No partition is left out or shared, and topics with the same readers go together."""
    assigned = co_assign(partitions, members)
    owners = [(p, member) for member, owned in assigned.items() for p in owned]
    read = {topic for subscribed in members.values() for topic in subscribed}
    every = [
        TopicPartition(t, n) for t, count in partitions.items() if t in read for n in range(count)
    ]
    assert sorted(p for p, _ in owners) == sorted(every)
    assert all(p.topic in members[member] for p, member in owners)
    same = len({tuple(subscribed) for subscribed in members.values()}) == 1
    if same:
        by_number = {(p.partition, member) for p, member in owners}
        assert len(by_number) == len({number for number, _ in by_number})


def test_outgoing_names_schema_time_event_and_partition() -> None:
    """The headers that every record carries, and the partition of the base asset."""
    batch = TradeBatch(venue="binance", instrument="BTC-USDT")
    sent = outgoing(
        topics.MARKET_TRADES_V1,
        batch,
        key="binance:BTC-USDT",
        subject="BTC-USDT",
        now_ns=17,
        event_id="e1",
    )
    assert sent.partition == topics.MARKET_TRADES_V1.partition("BTC")
    assert header(sent.headers, "schema") == b"teleglas.market.v1.TradeBatch"
    assert header(sent.headers, "produced-at") == b"17"
    assert header(sent.headers, "event-id") == b"e1"
    assert header(sent.headers, "traceparent") is None
    assert decode(as_record(sent)) == batch


def test_outgoing_of_a_foreign_schema_is_refused() -> None:
    """A topic carries only what its manifest names."""
    with pytest.raises(ValueError, match=r"expected one of .* was teleglas.market.v1.Candle"):
        outgoing(topics.MARKET_TRADES_V1, Candle(), key="k", subject="BTC", now_ns=0)


@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8))))
def test_decode_of_anything_is_a_message_or_named_poison(
    value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    """Hostile bytes and headers never give another error."""
    schema = ("schema", b"teleglas.market.v1.TradeBatch")
    for given_headers in (tuple(headers), (schema, *headers)):
        record = Record(topics.MARKET_TRADES_V1.name, 0, 0, None, value, given_headers, 0)
        assert outcome(record) in {"decoded", "missing_schema", "unknown_schema", "decode_failed"}


def outcome(record: Record) -> str:
    try:
        decode(record)
    except PoisonError as poison:
        return poison.cause
    return "decoded"


def test_fence_drops_the_older_owner_of_a_source_only() -> None:
    """An owner that lost its lease is ignored, also after a restart."""
    fence = Fence()
    assert fence.admits("a", 2)
    assert fence.admits("a", 2)
    assert not fence.admits("a", 1)
    assert fence.admits("b", 1)
    again = Fence(fence.snapshot())
    assert not again.admits("a", 1)
    assert again.admits("a", 3)


async def test_inbox_takes_turns_and_knows_when_it_is_full() -> None:
    """A busy topic does not starve a quiet one; room comes back at half."""
    busy, quiet = make_topic(), make_topic()
    inbox = Inbox([busy.name, quiet.name], max_records=10, max_bytes=1 << 20)
    inbox.put(busy.name, [as_record(numbered(busy, 0, n)) for n in range(12)])
    inbox.put(quiet.name, [as_record(numbered(quiet, 0, 0))])
    assert inbox.is_full(busy.name)
    assert not inbox.is_full(quiet.name)
    assert [(r[0].topic, len(r)) for r in inbox.turns(5)] == [(busy.name, 5), (quiet.name, 1)]
    assert not inbox.has_room(busy.name)
    assert [len(r) for r in inbox.turns(5)] == [5]
    assert inbox.has_room(busy.name)
    inbox.clear()
    assert not await inbox.wait(0.01)


def test_watch_names_a_partition_that_stands_still() -> None:
    """Only a partition with records to read, and only after the whole time, is stalled."""
    a, b = TopicPartition("t", 0), TopicPartition("t", 1)
    watch = ProgressWatch(stall_after_s=10)
    ends = {a: 100, b: 50}
    assert watch.stalled({a: 10, b: 50}, {}, ends, 0) == []
    assert watch.stalled({a: 10, b: 50}, {}, ends, 9) == []
    assert watch.stalled({a: 10, b: 50}, {}, ends, 10) == [a]
    assert watch.stalled({a: 11, b: 50}, {}, ends, 11) == []
    assert watch.stalled({b: 50}, {}, ends, 30) == []
    assert watch.stalled({a: 11, b: 50}, {}, ends, 31) == []
    assert watch.stalled({a: 11, b: 50}, {a: 100}, ends, 60) == []
    watch.reset()
    assert watch.stalled({a: 11}, {}, ends, 90) == []


def test_watch_is_patient_with_a_client_that_delivers_other_partitions() -> None:
    """A partition that waits its turn in a long catch-up is not stalled yet."""
    busy, waiting = TopicPartition("t", 0), TopicPartition("t", 1)
    watch, ends = ProgressWatch(stall_after_s=10), {busy: 1_000, waiting: 1_000}
    for second in range(60):
        assert watch.stalled({busy: second, waiting: 0}, {}, ends, second) == []
    assert watch.stalled({busy: 60, waiting: 0}, {}, ends, 60) == [waiting]


def test_backoff_grows_to_its_limit_with_jitter() -> None:
    """Waits double up to the limit, and jitter takes at most half of one."""
    settings = WorkerSettings(retry_initial_s=1, retry_max_s=5)
    assert [settings.backoff_s(n, 0.0) for n in (1, 2, 3, 4, 40)] == [0.5, 1, 2, 2.5, 2.5]
    assert settings.backoff_s(2, 0.999) < 2


def test_topic_options_follow_the_manifest() -> None:
    """Append time everywhere; compaction and retention as the manifest says."""
    trades = topic_options(topics.MARKET_TRADES_V1)
    assert trades["message.timestamp.type"] == "LogAppendTime"
    assert trades["retention.ms"] == str(24 * 3600 * 1000)
    assert trades["cleanup.policy"] == "delete"
    instruments = topic_options(topics.MARKET_INSTRUMENTS_V1)
    assert (instruments["cleanup.policy"], instruments["retention.ms"]) == ("compact", "-1")


def test_topics_get_as_many_copies_as_the_settings_say() -> None:
    """One where there is one broker; more is a decision of who runs several."""
    assert kafka_settings(KafkaSection(bootstrap="broker:9092"), "test").replication_factor == 1
    three = KafkaSection(bootstrap="broker:9092", replication_factor=3)
    assert kafka_settings(three, "test").replication_factor == 3


def test_kafka_settings_hide_the_password_and_want_what_they_need() -> None:
    """Secrets are not printed; a protocol without its means is refused."""
    settings = KafkaSettings(
        "k:9092", security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password="hidden"
    )
    assert "hidden" not in repr(settings)
    assert settings.client_options()["sasl_plain_username"] == "u"
    with pytest.raises(ValueError, match="ssl_context"):
        KafkaSettings("k:9092", security_protocol="SSL")
    with pytest.raises(ValueError, match="user and password"):
        KafkaSettings("k:9092", security_protocol="SASL_PLAINTEXT")


async def test_a_client_that_hears_from_the_broker_is_not_asked_about() -> None:
    """Another client is asked when one stands still before an end, or hears nothing any more."""
    partition = TopicPartition("a", 0)
    admin, positions = CountingAdmin({partition: 10}), {partition: 10}
    answers: dict[TopicPartition, int] = {partition: 10}
    guard = StallGuard(admin, ["a"], 0.1, lambda: positions, lambda _: answers)
    guard.start()

    async def polled_for(seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            guard.polled()
            await asyncio.sleep(0.01)

    await polled_for(0.3)
    assert admin.asked == 0
    answers.clear()
    await polled_for(0.3)
    assert admin.asked > 0
    verdicts = [guard.verdict]
    assert verdicts == [None]
    admin.ends = answers = {partition: 20}
    await polled_for(0.5)
    assert guard.verdict is not None
    await guard.stop()


class CountingAdmin(KafkaAdmin):
    def __init__(self, ends: dict[TopicPartition, int]) -> None:
        self.ends = ends
        self.asked = 0

    async def offsets(
        self,
        topics: Sequence[str],  # noqa: ARG002
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        self.asked += 1
        return {}, self.ends


async def test_stalled_bus_bounds_what_is_in_flight() -> None:
    """While nothing is acknowledged `send` waits at the bound, and goes on in order after."""
    topic = make_topic(partitions=1)
    bus = MemoryBus(max_in_flight_bytes=200)
    await bus.create([topic])
    publisher = bus.publisher()
    await publisher.start()
    bus.stall()

    async def send_all() -> None:
        for number in range(50):
            await publisher.send(numbered(topic, 0, number))

    sending = asyncio.create_task(send_all())
    await asyncio.wait({sending}, timeout=0.05)
    assert not sending.done()
    assert 100 < publisher.in_flight_bytes <= 200
    bus.recover()
    await sending
    await publisher.stop()
    assert bus.log.end(TopicPartition(topic.name, 0)) == 50


async def test_record_that_outlives_its_delivery_ends_the_publisher() -> None:
    """The error is sticky: whoever sends or flushes later gets it too."""
    topic = make_topic(partitions=1)
    bus = MemoryBus(delivery_timeout_s=0.05)
    await bus.create([topic])
    publisher = bus.publisher()
    await publisher.start()
    bus.stall()
    await publisher.send(numbered(topic, 0, 1))
    with pytest.raises(PublishError):
        await publisher.flush()
    bus.recover()
    with pytest.raises(PublishError):
        await publisher.send(numbered(topic, 0, 2))


async def test_memory_log_forgets_the_oldest_beyond_its_bound() -> None:
    """The bound works as retention does: begins move on, offsets stay."""
    topic = make_topic(partitions=1)
    bus = MemoryBus(max_records_per_partition=10, now_ms=lambda: 77)
    await bus.create([topic])
    await publish(bus, [numbered(topic, 0, n) for n in range(25)])
    partition = TopicPartition(topic.name, 0)
    assert (await bus.begins([topic.name]))[partition] == 15
    assert (await bus.ends([topic.name]))[partition] == 25
    assert bus.log.read(partition, 20, 1)[0].timestamp_ms == 77


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


def traced(spans: InMemorySpanExporter, count: int) -> tuple[list[Record], list[ReadableSpan]]:
    """Records that were each sent within a span of their own."""
    topic, sent = make_topic(), []
    for _ in range(count):
        with tracing._tracer.start_as_current_span("produce"):
            message = Progress(source="s")
            sent.append(as_record(outgoing(topic, message, key="k", subject="k", now_ns=1)))
    produced = list(spans.get_finished_spans())
    spans.clear()
    return sent, produced


def test_span_of_one_record_has_the_producers_as_parent(spans: InMemorySpanExporter) -> None:
    """One input: the trace goes on."""
    (record,), (produced,) = traced(spans, 1)
    assert tracing.is_sampled(record)
    with tracing.consumer_span("process", (record,)):
        inner = trace.get_current_span().get_span_context()
    (span,) = spans.get_finished_spans()
    assert span.parent is not None
    assert span.parent.span_id == produced.context.span_id
    assert inner.trace_id == produced.context.trace_id


def test_span_of_many_records_links_to_them_triggering_first(spans: InMemorySpanExporter) -> None:
    """Many inputs: a trace of its own with at most 32 links."""
    records, produced = traced(spans, 40)
    with tracing.consumer_span("close", records):
        pass
    (span,) = spans.get_finished_spans()
    assert span.parent is None
    linked = [link.context.span_id for link in span.links]
    assert linked == [p.context.span_id for p in produced[:32]]


@pytest.mark.parametrize(
    "value", [b"", b"00-1-2-01", b"\xff", b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01"]
)
def test_malformed_traceparent_is_no_context(value: bytes) -> None:
    """What came from outside is parsed, not trusted."""
    assert tracing.span_context(value) is None
