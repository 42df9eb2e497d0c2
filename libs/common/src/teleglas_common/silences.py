"""When a whole topic is so silent that what joins it with others goes on without it."""

from __future__ import annotations

from dataclasses import dataclass, field

from teleglas_common.clock import Clock

__all__ = ["IDLE_S", "Silences"]

IDLE_S = 10.0
"""A topic without any record for so long is not waited for."""
PAUSE_S = 2.0
"""When nothing came of any topic for longer, the rest of the time was a pause of the reader's or
the broker's: it counts as nobody's silence.
"""


@dataclass(slots=True)
class Silences:
    """Counts each topic's silence while others are heard. What comes first after a pause of all
    says nothing about the rest, which is on its way as well.
    """

    clock: Clock
    _heard_s: dict[str, float] = field(default_factory=dict)
    _last_s: float | None = None

    def heard(self, topic: str) -> None:
        """A record of a topic came."""
        now_s = self.clock.monotonic_s()
        paused_s = 0.0 if self._last_s is None else now_s - self._last_s - PAUSE_S
        if paused_s > 0:
            self._heard_s = {name: at + paused_s for name, at in self._heard_s.items()}
        self._last_s = self._heard_s[topic] = now_s

    def is_idle(self, topic: str) -> bool:
        """Whether a topic has been silent too long to wait for."""
        now_s = self.clock.monotonic_s()
        return now_s - self._heard_s.setdefault(topic, now_s) > IDLE_S
