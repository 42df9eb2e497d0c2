"""Which member of a group owns which partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from teleglas_common.bus.ports import TopicPartition

__all__ = ["co_assign"]


def co_assign(
    partitions: Mapping[str, int], members: Mapping[str, Sequence[str]]
) -> dict[str, list[TopicPartition]]:
    """Spread partition numbers, not partitions, over the members: `partitions` maps topics to their
    counts, `members` the members to the topics that they read.

    Number n of every topic goes to the same member. Topics that not all members read (while a new
    version rolls out) are spread over those who do.
    """
    assigned: dict[str, list[TopicPartition]] = {member: [] for member in members}
    by_readers: dict[tuple[str, ...], list[str]] = {}
    for topic in partitions:
        readers = tuple(sorted(m for m, topics in members.items() if topic in topics))
        if readers:
            by_readers.setdefault(readers, []).append(topic)
    for readers, topics in by_readers.items():
        numbers = max(partitions[topic] for topic in topics)
        for number in range(numbers):
            owner = readers[number * len(readers) // numbers]
            assigned[owner] += [
                TopicPartition(topic, number)
                for topic in sorted(topics)
                if number < partitions[topic]
            ]
    return assigned
