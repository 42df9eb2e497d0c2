"""Dead letters go back to where they came from, once."""

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter
from teleglas_common.bus.dead_letter import dead_letter, redrives_of
from teleglas_common.bus.ports import Bus, PoisonError, TopicPartition
from teleglas_common.bus.redrive import RedriveReport, redrive
from teleglas_common.bus.testing import make_topic, number_of, numbered, publish, read_all
from teleglas_contracts.topic import Topic


async def bury(bus: Bus, topic: Topic, causes: list[str]) -> None:
    """Put a record on partition n % 4 and a dead letter of it on the twin, for each cause."""
    start = sum((await bus.ends([topic.name])).values())
    await publish(bus, [numbered(topic, n % 4, start + n) for n in range(len(causes))])
    records = sorted(
        (r for part in (await read_all(bus, topic.name)).values() for r in part), key=number_of
    )[start:]
    letters = [
        dead_letter(topic, record, PoisonError(cause, "expected good"), consumer="t", now_ns=1)
        for record, cause in zip(records, causes, strict=True)
    ]
    await publish(bus, letters)


async def run(bus: Bus, topic: Topic, **options: object) -> RedriveReport:
    publisher = bus.publisher()
    await publisher.start()
    report = await redrive(bus, publisher, f"{topic.name}.dlt", **options)  # type: ignore[arg-type]
    await publisher.stop()
    return report


async def test_redrive_returns_each_record_to_its_partition_once(bus: Bus) -> None:
    """Bytes, key and headers come back with one more redrive; a second run finds nothing new."""
    topic = make_topic()
    await bus.create([topic])
    await bury(bus, topic, ["a", "b", "a", "b", "a", "a"])
    report = await run(bus, topic)
    assert report == RedriveReport({"a": 4, "b": 2}, 0)
    for part in (await read_all(bus, topic.name)).values():
        half = len(part) // 2
        for first, again in zip(part[:half], sorted(part[half:], key=number_of), strict=True):
            assert (again.key, again.value) == (first.key, first.value)
            assert again.headers == (*first.headers, ("redrives", b"1"))
            assert redrives_of(again) == 1
    assert (await run(bus, topic)).sent == {"a": 0, "b": 0}
    await bury(bus, topic, ["b"])
    assert (await run(bus, topic)).sent == {"a": 0, "b": 1}


async def test_redrive_obeys_cause_and_limit(bus: Bus) -> None:
    """What a filtered run left is still there for the next."""
    topic = make_topic()
    await bus.create([topic])
    await bury(bus, topic, ["a", "b"] * 5)
    assert (await run(bus, topic, causes=["b"], limit=2)).sent == {"b": 2}
    assert (await run(bus, topic, causes=["b"])).sent == {"b": 3}
    assert (await run(bus, topic)).sent == {"a": 5, "b": 0}
    assert sum((await bus.ends([topic.name])).values()) == 20


async def test_redrive_skips_what_never_was_a_record(bus: Bus) -> None:
    """A venue's frame has no place in the log to go back to."""
    topic = make_topic()
    await bus.create([topic])
    await bury(bus, topic, ["a"])
    twin = TopicPartition(f"{topic.name}.dlt", 0)
    (record,) = (await read_all(bus, twin.topic))[twin]
    frame = DeadLetter.FromString(record.value or b"")
    frame.offset = -1
    letter = dead_letter(topic, record, PoisonError("a", ""), consumer="t", now_ns=1)
    await publish(bus, [type(letter)(twin.topic, 0, b"k", frame.SerializeToString())])
    assert await run(bus, topic) == RedriveReport({"a": 1}, 1)


async def test_record_that_two_consumers_buried_goes_back_once(bus: Bus) -> None:
    """All of its readers read it again, so a second copy would only be a repeat."""
    topic = make_topic(partitions=1)
    await bus.create([topic])
    await publish(bus, [numbered(topic, 0, 1)])
    ((record,),) = (await read_all(bus, topic.name)).values()
    await publish(
        bus,
        [
            dead_letter(topic, record, PoisonError(cause, "expected good"), consumer=by, now_ns=1)
            for by, cause in (("first", "a"), ("second", "a"), ("third", "b"))
        ],
    )
    assert (await run(bus, topic)).sent == {"a": 1, "b": 0}
    assert sum((await bus.ends([topic.name])).values()) == 2
