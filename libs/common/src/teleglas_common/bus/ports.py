"""The bus as services see it. An in-memory bus and Apache Kafka stand behind the same ports and
pass the same behaviour suite.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from google.protobuf.message import Message

from teleglas_contracts.topic import Topic

__all__ = [
    "EARLIEST",
    "LATEST",
    "Bus",
    "BusError",
    "CommitRefusedError",
    "FencedError",
    "GroupConsumer",
    "Headers",
    "Incoming",
    "Outgoing",
    "PoisonError",
    "PublishError",
    "Publisher",
    "Reader",
    "Rebalance",
    "Record",
    "Route",
    "Shard",
    "TopicPartition",
]

M_co = TypeVar("M_co", bound=Message, covariant=True)
M = TypeVar("M", bound=Message)
S = TypeVar("S", bound="Shard")

Headers = tuple[tuple[str, bytes], ...]

EARLIEST = -2
"""A position: the oldest record that the partition still holds."""
LATEST = -1
"""A position: just behind the newest record."""


class TopicPartition(NamedTuple):
    """One partition of one topic, by the topic's name."""

    topic: str
    partition: int


class Record(NamedTuple):
    """One record as the log holds it. `timestamp_ms` is the append time.

    A tuple, as one is made of every record that is read.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int

    @property
    def size_bytes(self) -> int:
        return _size_bytes(self.key, self.value, self.headers)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to append. The partition is explicit: `topic.partition(subject)`."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def size_bytes(self) -> int:
        return _size_bytes(self.key, self.value, self.headers)


def _size_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    size = len(key or b"") + len(value or b"")
    for name, content in headers:
        size += len(name) + len(content)
    return size


class Incoming(NamedTuple, Generic[M_co]):
    """A decoded message with the record that it came in."""

    message: M_co
    record: Record


class BusError(Exception):
    """The log could not be reached, or refused, within the bounded time that a call may take."""


class PublishError(BusError):
    """A record that was accepted could not be delivered: the publisher stops taking more."""


class CommitRefusedError(BusError):
    """The partitions are not this member's any more: another reads on from the last commit."""


class FencedError(Exception):
    """Raised by a shard's checkpoint when the stored offsets are not the ones that it last knew:
    another owner has moved on. The worker drops the shard and restores it, without any commit.
    """


class PoisonError(Exception):
    """This record can never be handled. It goes to the dead-letter topic and the partition goes on.

    `cause` is a stable snake_case name that metrics count by; `detail` tells people what was
    expected and what was there.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class Publisher(Protocol):
    """Appends records in the order they were given, each partition's order kept over retries."""

    async def send(self, record: Outgoing) -> None:
        """Take a record; wait only while the bytes in flight are at their bound.

        Raises PublishError once any earlier record has failed for good.
        """

    async def flush(self) -> None:
        """Return when every taken record is acknowledged; raise PublishError if one cannot be."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Flush, then release everything."""


class Rebalance(Protocol):
    """Told of partitions that come and go: inside `poll` or `stop`, never at the same time as them.

    `assigned` comes before any record of the partitions is polled. `revoked` comes after the last
    one, and what it commits still counts; the group waits for it, so it must be quick.
    """

    async def assigned(self, partitions: Sequence[TopicPartition]) -> None: ...

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None: ...


class GroupConsumer(Protocol):
    """A member of a consumer group. Topics are co-assigned: a member that owns partition 3 of one
    owns partition 3 of all. Never commits by itself.

    A new partition starts at the group's committed offset, else at the earliest record. One task
    calls `poll`, `seek`, `pause` and `resume`; the other calls may come from any.
    """

    async def start(self, listener: Rebalance) -> None: ...

    async def poll(
        self, *, max_records: int, timeout_s: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return what is there, at most `max_records`, waiting up to `timeout_s` for the first."""

    def wake(self) -> None:
        """End a poll that waits for records."""

    async def seek(self, partition: TopicPartition, offset: int) -> None: ...

    def pause(self, partitions: Sequence[TopicPartition]) -> None: ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None: ...

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Store the next offset to read of each partition.

        Raises CommitRefusedError when a partition is not this member's any more.
        """

    async def committed(self, partition: TopicPartition) -> int | None: ...

    def known_ends(self, max_age_s: float) -> Mapping[TopicPartition, int]:
        """Ends of the partitions that are being read, as far as the log told them so lately."""

    async def stop(self) -> None: ...


class Reader(Protocol):
    """Reads given partitions from given positions, without a group."""

    async def start(self) -> None: ...

    async def poll(
        self, *, max_records: int, timeout_s: float
    ) -> Mapping[TopicPartition, Sequence[Record]]: ...

    async def seek(self, partition: TopicPartition, offset: int) -> None: ...

    async def stop(self) -> None: ...


class Bus(Protocol):
    """Makes the parts above; knows how to reach the log."""

    def publisher(self) -> Publisher: ...

    def consumer(self, topics: Sequence[str], group: str) -> GroupConsumer: ...

    def reader(self, positions: Mapping[TopicPartition, int], *, follows: bool = False) -> Reader:
        """A position is an offset, EARLIEST or LATEST. `follows`: reads on without an end, as a
        consumer does, so that a little delay is worth fewer requests.
        """

    async def create(self, topics: Sequence[Topic]) -> Mapping[str, str]:
        """Create what is missing, each with its dead-letter twin, and return topic → epoch.

        The epoch is written to control.topics.v1 once, when the topic is created.
        """

    async def begins(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]: ...

    async def ends(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """The offset behind the newest record of every partition."""


class Shard(Protocol):
    """The state behind one partition number: that partition of every topic a worker reads.

    The worker makes one when the number is assigned, restores it, feeds it one record after the
    other and drops it when the number is revoked. After an error that is not poison the worker
    drops it too, restores a new one and reads again from there: so a handler needs no undo.
    """

    async def restore(self) -> Mapping[str, int]:
        """Load the last checkpoint; return topic → next offset to read.

        A topic that is not named starts at the group's committed offset, else at the earliest.
        """

    async def checkpoint(self, offsets: Mapping[str, int]) -> None:
        """Store state and offsets in one atom. All that was published before is acknowledged.

        The mapping also holds the epoch of each topic, see `lineage`: store it as it is.
        """

    async def close(self) -> None:
        """Let go of the state; what was not checkpointed will be read again."""


@runtime_checkable
class PatientShard(Shard, Protocol):
    """A shard that knows when its checkpoint is urgent."""

    @property
    def may_wait(self) -> bool:
        """Whether nobody outside waits for what came since the last checkpoint: in a quiet market
        most of it is marks, which cost as much to store as events and as little to read again.
        """


Handler = Callable[[S, Incoming[M]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route(Generic[S, M]):
    """One row of a service's routes: messages of `schema` on `topic` go to `handler`.

    A record whose schema has no row is skipped if the topic's manifest names the schema, else it
    is poison.
    """

    topic: Topic
    schema: type[M]
    handler: Handler[S, M]
