"""The hash that `teleglas digest signal.scores` prints, of scores that were made here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas_contracts.messages import without_volatile

__all__ = ["ScoreDigest"]


@dataclass(slots=True)
class ScoreDigest:
    """SHA-256 over (id, payload hash), sorted by id, the last of each id, without what may differ
    between two runs.
    """

    events: dict[str, bytes] = field(default_factory=dict)

    def add(self, score: SignalScore) -> None:
        payload = without_volatile(score).SerializeToString(deterministic=True)
        self.events[score.id] = hashlib.sha256(payload).digest()

    def hexdigest(self) -> str:
        total = hashlib.sha256()
        for score_id in sorted(self.events):
            name = score_id.encode()
            total.update(len(name).to_bytes(4, "big") + name + self.events[score_id])
        return total.hexdigest()
