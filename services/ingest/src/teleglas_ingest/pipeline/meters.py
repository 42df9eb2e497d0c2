"""What ingest counts. The telemetry package stands behind it; tests count for themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

__all__ = ["Counts", "Meters"]


class Meters(Protocol):
    """Each is called at most some times a second and venue, never per frame."""

    def configured(self, venue: str, shards: int, owned: Callable[[], int]) -> None:
        """The venue has so many shards; `owned` says how many of them are ours now."""

    def frames(self, venue: str, count: int) -> None: ...

    def events(self, venue: str, kind: str, count: int) -> None: ...

    def refused(self, venue: str, cause: str) -> None: ...

    def repeated(self, venue: str, count: int) -> None: ...

    def gap(self, venue: str, channel: str, cause: str) -> None: ...

    def open_gaps(self, venue: str, channel: str, count: int) -> None:
        """So many breaks are not mended or given up yet."""

    def connect(self, venue: str, outcome: str) -> None: ...

    def connections(self, venue: str, count: int) -> None: ...

    def backfilled(self, venue: str, trades: int) -> None: ...

    def lost(self, venue: str, trades: int) -> None: ...

    def silent(self, venue: str) -> None: ...

    def resynced(self, venue: str) -> None: ...

    def delay(self, venue: str, seconds: float) -> None:
        """From a venue's time to ours; below 0 where the clocks differ."""


class Counts:
    """Counts in memory, by name and labels."""

    def __init__(self) -> None:
        self.of: Counter[tuple[str, ...]] = Counter()

    def configured(self, venue: str, shards: int, owned: Callable[[], int]) -> None:
        del owned
        self.of["configured", venue] = shards

    def frames(self, venue: str, count: int) -> None:
        self.of["frames", venue] += count

    def events(self, venue: str, kind: str, count: int) -> None:
        self.of["events", venue, kind] += count

    def refused(self, venue: str, cause: str) -> None:
        self.of["refused", venue, cause] += 1

    def repeated(self, venue: str, count: int) -> None:
        self.of["repeated", venue] += count

    def gap(self, venue: str, channel: str, cause: str) -> None:
        self.of["gap", venue, channel, cause] += 1

    def open_gaps(self, venue: str, channel: str, count: int) -> None:
        self.of["open_gaps", venue, channel] = count

    def connect(self, venue: str, outcome: str) -> None:
        self.of["connect", venue, outcome] += 1

    def connections(self, venue: str, count: int) -> None:
        self.of["connections", venue] = count

    def backfilled(self, venue: str, trades: int) -> None:
        self.of["backfilled", venue] += trades

    def lost(self, venue: str, trades: int) -> None:
        self.of["lost", venue] += trades

    def silent(self, venue: str) -> None:
        self.of["silent", venue] += 1

    def resynced(self, venue: str) -> None:
        self.of["resynced", venue] += 1

    def delay(self, venue: str, seconds: float) -> None: ...
