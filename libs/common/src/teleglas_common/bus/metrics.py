"""What a worker counts; the telemetry package stands behind it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["NoMetrics", "WorkerMetrics"]


class WorkerMetrics(Protocol):
    """Counters, gauges and histograms of one worker. Times are in seconds."""

    def records(self, topic: str, count: int) -> None:
        """So many records of a topic were handled, poison among them."""

    def batch(self, topic: str, count: int, seconds: float) -> None:
        """One turn of a topic took so long."""

    def poison(self, topic: str, cause: str) -> None: ...

    def lag(self, topic: str, partition: int, records: int) -> None:
        """So many records lie between what was handled and the end of the partition."""

    def lost(self, topic: str, partition: int, records: int) -> None:
        """So many records went from the log (retention) before they were read."""

    def checkpoint(self, seconds: float) -> None: ...

    def retry(self, cause: str) -> None:
        """A shard was dropped and restored; `cause` is the name of the exception's class."""

    def shards(self, count: int) -> None: ...


class NoMetrics:
    """Counts nothing."""

    def records(self, topic: str, count: int) -> None: ...

    def batch(self, topic: str, count: int, seconds: float) -> None: ...

    def poison(self, topic: str, cause: str) -> None: ...

    def lag(self, topic: str, partition: int, records: int) -> None: ...

    def lost(self, topic: str, partition: int, records: int) -> None: ...

    def checkpoint(self, seconds: float) -> None: ...

    def retry(self, cause: str) -> None: ...

    def shards(self, count: int) -> None: ...
