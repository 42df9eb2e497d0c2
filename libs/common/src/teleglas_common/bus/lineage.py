"""Which creation of a topic a checkpoint's offsets belong to.

A checkpoint outlives the log that it was made of: offsets of a log that was lost mean nothing in
the one that was created in its place, and would skip records silently. So each checkpoint also
holds, as one more entry beside the offset, the epoch of every topic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["RecreatedTopicError", "check_lineage", "with_lineage"]

_SUFFIX = "@epoch"


class RecreatedTopicError(Exception):
    """Stored offsets are of a topic that was created anew since: only a person can tell whether to
    start over or to bring the old log back.
    """


def with_lineage(offsets: Mapping[str, int], epochs: Mapping[str, str]) -> dict[str, int]:
    """The offsets, and the epoch of each topic that has one."""
    stamps = {topic + _SUFFIX: int(epochs[topic], 16) for topic in offsets if topic in epochs}
    return {**offsets, **stamps}


def check_lineage(
    restored: Mapping[str, int], topics: Sequence[str], epochs: Mapping[str, str]
) -> None:
    """Raises RecreatedTopicError where a stored epoch is not the topic's; one without an epoch, or
    a checkpoint from before there were any, passes.
    """
    for topic in topics:
        stored, epoch = restored.get(topic + _SUFFIX), epochs.get(topic)
        if stored is not None and epoch is not None and stored != int(epoch, 16):
            raise RecreatedTopicError(
                f"expected {topic} of epoch {stored:08x}, which the checkpoint at offset"
                f" {restored.get(topic)} was made of, was created anew as {epoch}"
            )
