"""The epoch of each topic, as control.topics.v1 holds it."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection, Mapping, Sequence

from google.protobuf.message import DecodeError

from teleglas.control.v1.topic_pb2 import TopicEpoch
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import (
    EARLIEST,
    Bus,
    BusError,
    Outgoing,
    Publisher,
    Record,
    TopicPartition,
)
from teleglas_contracts import topics as catalogue
from teleglas_contracts.topic import Topic

__all__ = ["ensure_epochs", "fold_epochs", "read_epochs"]

CONTROL = catalogue.CONTROL_TOPICS_V1
_READ_TIMEOUT_S = 15.0
_log = logging.getLogger(__name__)


def fold_epochs(epochs: dict[str, str], record: Record) -> None:
    """Take one record of control.topics.v1 into topic → epoch.

    The first epoch since a topic's last tombstone counts: two processes that both found none agree.
    A record that is none is passed over: it must not keep every service from starting.
    """
    topic = (record.key or b"").decode()
    if record.value is None:
        epochs.pop(topic, None)
        return
    try:
        epoch = TopicEpoch.FromString(record.value).epoch
    except DecodeError:
        _log.warning("expected a TopicEpoch of %s at offset %d, passed over", topic, record.offset)
        return
    epochs.setdefault(topic, epoch)


async def read_epochs(bus: Bus) -> dict[str, str]:
    """Read topic → epoch of every topic, as of now."""
    partition = TopicPartition(CONTROL.name, 0)
    end = (await bus.ends([CONTROL.name]))[partition]
    begin = (await bus.begins([CONTROL.name]))[partition]
    epochs: dict[str, str] = {}
    if begin >= end:
        return epochs
    reader = bus.reader({partition: EARLIEST})
    await reader.start()
    deadline = time.monotonic() + _READ_TIMEOUT_S
    try:
        while time.monotonic() < deadline:
            polled = await reader.poll(max_records=1000, timeout_s=1.0)
            for record in polled.get(partition, ()):
                fold_epochs(epochs, record)
                if record.offset >= end - 1:
                    return epochs
    finally:
        await reader.stop()
    raise BusError(f"expected {CONTROL.name} up to offset {end} within {_READ_TIMEOUT_S} s")


async def ensure_epochs(
    bus: Bus, publisher: Publisher, topics: Sequence[Topic], created: Collection[str]
) -> Mapping[str, str]:
    """Write an epoch for each of `topics` that was just `created` or has none; return them all.

    The one process whose creation the log accepted starts the topic anew with a tombstone. Should
    two others both fill a hole, the loser repeats the winner's epoch: compaction keeps the last.
    """
    known = await read_epochs(bus)
    ours: dict[str, str] = {}
    for topic in topics:
        if topic.name in created and topic.name in known:
            await publisher.send(Outgoing(CONTROL.name, 0, topic.name.encode(), None))
        elif topic.name in known:
            continue
        ours[topic.name] = secrets.token_hex(4)
        await publisher.send(_epoch_record(topic, ours[topic.name]))
    if not ours:
        return {topic.name: known[topic.name] for topic in topics}
    await publisher.flush()
    epochs = await read_epochs(bus)
    lost = [topic for topic in topics if ours.get(topic.name, "") not in ("", epochs[topic.name])]
    for topic in lost:
        await publisher.send(_epoch_record(topic, epochs[topic.name]))
    await publisher.flush()
    return {topic.name: epochs[topic.name] for topic in topics}


def _epoch_record(topic: Topic, epoch: str) -> Outgoing:
    now_ns = time.time_ns()
    message = TopicEpoch(
        topic=topic.name, epoch=epoch, partitions=topic.partitions, ts_created=now_ns
    )
    return outgoing(CONTROL, message, key=topic.name, subject=topic.name, now_ns=now_ns)
