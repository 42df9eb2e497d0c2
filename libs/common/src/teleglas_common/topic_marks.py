"""How far each topic of a partition has come, and when one that is silent is not waited for."""

from __future__ import annotations

from dataclasses import dataclass, field

from teleglas_common.clock import Clock
from teleglas_common.progress import Instrument, Mark, ProgressTracker
from teleglas_common.silences import Silences

__all__ = ["GONE_NS", "TopicMarks"]

GONE_NS = 60 * 1_000_000_000
"""What lies so far behind its own topic, of event time, is not waited for."""


@dataclass(slots=True)
class TopicMarks:
    """Watermarks by topic. While every topic has living sources the answers depend on the topics
    alone; the idle limit only decides when a whole topic is silent, so that what joins it with
    others does not stop with it. Topics in `held` are read again and have come nowhere yet.
    """

    clock: Clock
    trackers: dict[str, ProgressTracker] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    silences: Silences = field(init=False)

    def __post_init__(self) -> None:
        self.silences = Silences(self.clock)

    def observe(self, topic: str, mark: Mark) -> list[Instrument]:
        """Take a mark in; return the instruments whose watermark moved."""
        tracker = self.trackers.get(topic)
        if tracker is None:
            tracker = self.trackers[topic] = ProgressTracker()
        return tracker.observe(mark)

    def watermark(self, topic: str, instrument: Instrument) -> int:
        """Nothing up to this time (ns) comes any more; -1 before the first mark."""
        tracker = self.trackers.get(topic)
        found = tracker.watermark(*instrument) if tracker is not None else None
        return -1 if found is None else found

    def reached(self, topic: str, instrument: Instrument, otherwise: int) -> int:
        """How far a topic has come for an instrument; `otherwise` where it is not waited for."""
        if topic in self.held:
            return -1
        return otherwise if self.silences.is_idle(topic) else self._come_to(topic, instrument)

    def not_before(self, topic: str, instrument: Instrument, ts: int) -> int:
        """The time from which on something of `topic` counts: its own, or where it comes behind
        the topic's mark, the first one behind that.
        """
        return max(ts, self._come_to(topic, instrument) + 1)

    def _come_to(self, topic: str, instrument: Instrument) -> int:
        tracker = self.trackers.get(topic)
        if tracker is None or tracker.furthest is None:
            return -1
        return max(self.watermark(topic, instrument), tracker.furthest - GONE_NS)
