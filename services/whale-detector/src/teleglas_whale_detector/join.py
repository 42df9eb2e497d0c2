"""How far each topic of a partition has come, and when one that is silent is not waited for."""

from __future__ import annotations

from dataclasses import dataclass, field

from teleglas_common.clock import Clock
from teleglas_common.progress import Mark, ProgressTracker
from teleglas_common.silences import Silences
from teleglas_whale_detector.domain.parents import SECOND_NS
from teleglas_whale_detector.ports import Market

__all__ = ["GONE_NS", "InputJoin"]

GONE_NS = 60 * SECOND_NS
"""An input that lies so far behind its own topic, of event time, is not waited for."""


@dataclass(slots=True)
class InputJoin:
    """Watermarks by topic. While every topic has living sources the answers depend on the topics
    alone; the idle limit only decides when a whole topic is silent, so that alerts do not stop with
    it.
    """

    clock: Clock
    trackers: dict[str, ProgressTracker] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    silences: Silences = field(init=False)

    def __post_init__(self) -> None:
        self.silences = Silences(self.clock)

    def observe(self, topic: str, mark: Mark) -> list[Market]:
        """Take a mark in; return the markets whose watermark moved."""
        tracker = self.trackers.get(topic)
        if tracker is None:
            tracker = self.trackers[topic] = ProgressTracker()
        return tracker.observe(mark)

    def watermark(self, topic: str, market: Market) -> int:
        """Nothing up to this time comes any more; -1 before the first mark."""
        tracker = self.trackers.get(topic)
        found = tracker.watermark(*market) if tracker is not None else None
        return -1 if found is None else found

    def reached(self, topic: str, market: Market, otherwise: int) -> int:
        """How far a topic has come for a market; `otherwise` where it is not waited for."""
        if topic in self.held:
            return -1
        if self.silences.is_idle(topic):
            return otherwise
        tracker = self.trackers.get(topic)
        if tracker is None or tracker.furthest is None:
            return -1
        return max(self.watermark(topic, market), tracker.furthest - GONE_NS)
