"""How far a connection can promise: it will write nothing at or before this venue time any more."""

from __future__ import annotations

__all__ = ["MarkCadence", "Promise", "SourceClock", "VenueClock"]

NS_PER_S = 1_000_000_000
QUIET_FRAMES_PER_S = 100
"""A connection that brings fewer would cost more in marks than in events."""
FAST_NS = 2 * NS_PER_S
"""Of the venue's time within one second of ours."""


class VenueClock:
    """The newest event time seen on any connection of one venue. Never our own clock."""

    def __init__(self) -> None:
        self.newest = 0


class SourceClock:
    """Event time as one connection has proven it.

    A market's own stream may stand out of order by some milliseconds, so its marks stay `slack_ns`
    behind its newest event. The streams of one connection drift apart further: in busy minutes
    Binance's trades come up to 190 ms behind books of a later time. Where a stream has nothing to
    say, the others prove its time only `skew_ns` behind them.

    A connection that carries only quiet streams proves that time went on by an answered ping: all
    that the venue sent before the answer has been received, so what the venue's other connections
    had seen when the ping left has passed here too.
    """

    def __init__(self, venue: VenueClock, *, slack_ns: int, skew_ns: int) -> None:
        self._venue = venue
        self._slack_ns = slack_ns
        self._skew_ns = skew_ns
        self._pinged: int | None = None
        self.newest = 0

    def see(self, ts_event: int) -> None:
        """A frame of this connection carried this event time."""
        if ts_event > self.newest:
            self.newest = ts_event
            if ts_event > self._venue.newest:
                self._venue.newest = ts_event

    def ping(self) -> None:
        if self._pinged is None:
            self._pinged = self._venue.newest

    def pong(self) -> None:
        if self._pinged is not None:
            self.newest = max(self.newest, self._pinged)
            self._pinged = None

    def mark(self, own: int = 0) -> int:
        """Nothing at or before this time is to be expected of a stream whose newest event is of the
        time `own`, 0 for none.
        """
        return max(0, min(own, self.newest) - self._slack_ns, self.newest - self._skew_ns)


class Promise:
    """The marks given out for one partition of one topic: they only grow."""

    def __init__(self) -> None:
        self.given = 0

    def advance(self, mark: int, held_at: int | None) -> int | None:
        """The next mark, or None where there is no later one. `held_at` is the time after which
        trades may still be missing and be fetched.
        """
        if held_at is not None:
            mark = min(mark, held_at - 1)
        if mark <= self.given:
            return None
        self.given = mark
        return mark


class MarkCadence:
    """When a connection is marked: every time while it is busy, else once in a second, so that the
    marks of all quiet ones leave together; and whenever the venue's time runs as only a replay's
    does.
    """

    def __init__(self, every_s: float) -> None:
        self._busy_frames = QUIET_FRAMES_PER_S * every_s
        self._frames = 0
        self._second = 0
        self._marked_at = 0

    def is_due(self, frames: int, newest: int, now_ns: int) -> bool:
        """`frames` so far, the newest event time among them, and our own time."""
        brought, self._frames = frames - self._frames, frames
        second = now_ns // NS_PER_S
        due = (
            brought >= self._busy_frames
            or second != self._second
            or newest - self._marked_at >= FAST_NS
        )
        if due:
            self._second, self._marked_at = second, newest
        return due
