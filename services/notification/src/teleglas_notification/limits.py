"""How fast messages may go out."""

from __future__ import annotations

from teleglas_common.clock import Clock

__all__ = ["Limiter"]


class Limiter:
    """At most so many a second over all chats, and a pause for all when the channel asks for it."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock = clock
        self._gap_s = 1.0 / per_second
        self._next_s = float("-inf")

    def wait_s(self) -> float:
        """How long the next call has to wait."""
        return max(0.0, self._next_s - self._clock.monotonic_s())

    def took(self) -> None:
        """A call goes out now."""
        self._next_s = max(self._next_s, self._clock.monotonic_s()) + self._gap_s

    def pause(self, seconds: float) -> None:
        """No call goes out before so long."""
        self._next_s = max(self._next_s, self._clock.monotonic_s() + seconds)
