"""What a reader must leave out: a replaced writer's records and repeated events."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

__all__ = ["NewestRevisions", "SeenIds", "SeenSequences", "WriterFence"]


class WriterFence:
    """Lets a source's newest writer through and refuses the ones it replaced."""

    __slots__ = ("_epochs",)

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}

    def admits(self, source: str, writer_epoch: int) -> bool:
        newest = self._epochs.get(source, 0)
        if writer_epoch < newest:
            return False
        if writer_epoch > newest:
            self._epochs[source] = writer_epoch
        return True


class SeenSequences:
    """Which numbers of an upward count were seen: all up to the newest, but for the holes.

    A number above the newest is new; one below is new only if it fills a hole, as a backfill does.
    Everything before the first number is one hole. Beyond `max_holes` the lowest hole is forgotten
    and its numbers count as seen.
    """

    __slots__ = ("_firsts", "_lasts", "_max_holes", "_newest")

    def __init__(self, max_holes: int = 256) -> None:
        self._newest: int | None = None
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._max_holes = max_holes

    def add(self, number: int) -> bool:
        """Note a number; False if it was there before."""
        newest = self._newest
        if newest is None or number > newest:
            start = 0 if newest is None else newest + 1
            if number > start:
                self._insert(len(self._firsts), start, number - 1)
            self._newest = number
            added = True
        else:
            added = self._fill(number)
        if len(self._firsts) > self._max_holes:
            del self._firsts[0], self._lasts[0]
        return added

    def _fill(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        if at < 0 or number > self._lasts[at]:
            return False
        first, last = self._firsts.pop(at), self._lasts.pop(at)
        if number < last:
            self._insert(at, number + 1, last)
        if first < number:
            self._insert(at, first, number - 1)
        return True

    def _insert(self, at: int, first: int, last: int) -> None:
        self._firsts.insert(at, first)
        self._lasts.insert(at, last)


class SeenIds:
    """The newest ids of a feed whose ids do not count up by one."""

    __slots__ = ("_ids", "_order")

    def __init__(self, max_ids: int = 4096) -> None:
        self._ids: set[str] = set()
        self._order: deque[str] = deque(maxlen=max_ids)

    def add(self, identity: str) -> bool:
        """Note an id; False if it was there before."""
        if identity in self._ids:
            return False
        if len(self._order) == self._order.maxlen:
            self._ids.discard(self._order[0])
        self._order.append(identity)
        self._ids.add(identity)
        return True


class NewestRevisions:
    """The newest revision of each id within the last `window` records of a partition.

    What lies further back is forgotten: so the answer depends on those records alone, and readers
    that began at different places give the same one.
    """

    __slots__ = ("_newest", "_order", "_read", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._read = 0
        self._newest: dict[str, tuple[int, int]] = {}
        self._order: deque[tuple[int, str]] = deque()

    def step(self) -> None:
        """One more record, whatever it says."""
        self._read += 1
        while self._order and self._order[0][0] <= self._read - self._window:
            place, identity = self._order.popleft()
            if self._newest[identity][0] == place:
                del self._newest[identity]

    def add(self, identity: str, revision: int = 0) -> bool:
        """Note what the record of this step says; False if it or a newer one was there."""
        known = self._newest.get(identity)
        if known is not None and revision <= known[1]:
            return False
        self._newest[identity] = (self._read, revision)
        self._order.append((self._read, identity))
        return True
