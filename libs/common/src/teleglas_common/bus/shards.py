"""Bases for shards."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Fence", "StatelessShard"]


class StatelessShard:
    """A shard without state: the group's committed offsets are its checkpoint."""

    async def restore(self) -> Mapping[str, int]:
        return {}

    async def checkpoint(self, offsets: Mapping[str, int]) -> None: ...

    async def close(self) -> None: ...


class Fence:
    """Lets through only the newest writer epoch of each source. Its state belongs in the shard's
    checkpoint: pass `snapshot()` of the last one.
    """

    def __init__(self, epochs: Mapping[str, int] | None = None) -> None:
        self._epochs = dict(epochs or {})

    def admits(self, source: str, writer_epoch: int) -> bool:
        """Whether a batch counts: False when a newer owner of the source was seen already."""
        newest = self._epochs.get(source)
        if newest is None or writer_epoch > newest:
            self._epochs[source] = writer_epoch
            return True
        return writer_epoch == newest

    def snapshot(self) -> dict[str, int]:
        """The newest epoch of each source, in the order of their names."""
        return dict(sorted(self._epochs.items()))
