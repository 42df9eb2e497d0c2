"""When the topics that a summary joins have all passed a tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from teleglas_common.clock import Clock
from teleglas_common.progress import ProgressTracker
from teleglas_common.silences import Silences
from teleglas_market_data.domain.intervals import SECOND_NS
from teleglas_market_data.ports import Market

__all__ = ["InputJoin"]

GONE_NS = 60 * SECOND_NS
"""An input that lies so far behind its own topic, of event time, is not waited for."""


@dataclass(slots=True)
class InputJoin:
    """Reads the watermarks of several topics of one shard.

    While every topic has living sources the answer depends on the topics alone; the idle limit only
    decides when a whole topic is silent, so that summaries do not stop with it.
    """

    clock: Clock
    trackers: Mapping[str, ProgressTracker]
    topics: tuple[str, ...]
    held: set[str] = field(default_factory=set)
    silences: Silences = field(init=False)

    def __post_init__(self) -> None:
        self.silences = Silences(self.clock)

    def passed(self, market: Market, ts: int) -> int:
        """The time up to which all inputs have come, at most `ts`."""
        return min(ts, *(self._passed(topic, market, ts) for topic in self.topics))

    def not_before(self, topic: str, market: Market, ts: int) -> int:
        """The time from which on something of `topic` counts: its own, or where it comes behind
        the topic's mark, the first one behind that.
        """
        tracker = self.trackers.get(topic)
        return ts if tracker is None else max(ts, _reached(tracker, market) + 1)

    def _passed(self, topic: str, market: Market, ts: int) -> int:
        if topic in self.held:
            return -1
        if self.silences.is_idle(topic):
            return ts
        tracker = self.trackers.get(topic)
        return -1 if tracker is None else _reached(tracker, market)


def _reached(tracker: ProgressTracker, market: Market) -> int:
    if tracker.furthest is None:
        return -1
    return max(tracker.watermark(*market) or -1, tracker.furthest - GONE_NS)
