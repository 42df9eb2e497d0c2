"""How far a play may have come by now, at recorded, scaled or maximum speed."""

from __future__ import annotations

from array import array
from bisect import bisect_right

__all__ = ["MAX_SPEED", "Pace", "parse_speed"]

MAX_SPEED = 0.0
"""A speed: as fast as the clients take the frames."""

_NS = 1e9


def parse_speed(text: str) -> float:
    """`1`, `10`, `0.5` or `max`, as the factor of recorded time. Raises `ValueError` on others."""
    if text == "max":
        return MAX_SPEED
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0.0 < speed < float("inf"):
        raise ValueError(f"expected a speed above 0 or 'max', was {text!r}")
    return speed


class Pace:
    """Maps a clock in seconds to positions. A quiet stretch longer than `max_idle_s` of the clock
    is cut short to that, so that captures of different days play one behind the other.
    """

    def __init__(self, ts_recv: array[int], speed: float, max_idle_s: float) -> None:
        self._ts = ts_recv
        self._speed = speed
        self._max_idle_s = max_idle_s
        self._origin_ns = 0.0

    def start(self, position: int, now_s: float) -> None:
        """Begin or go on at `position`: its frame is due now."""
        self._origin_ns = self._ts[position] - now_s * self._speed * _NS

    def due(self, position: int, now_s: float) -> int:
        """The position up to which frames are due, exclusive."""
        if self._speed == MAX_SPEED:
            return len(self._ts)
        virtual_ns = self._origin_ns + now_s * self._speed * _NS
        return bisect_right(self._ts, virtual_ns, lo=position)

    def wait_s(self, position: int, now_s: float) -> float:
        """Seconds until the frame at `position` is due."""
        if self._speed == MAX_SPEED:
            return 0.0
        wait_s = (self._ts[position] - self._origin_ns) / (self._speed * _NS) - now_s
        if wait_s > self._max_idle_s:
            self._origin_ns += (wait_s - self._max_idle_s) * self._speed * _NS
            return self._max_idle_s
        return max(wait_s, 0.0)
