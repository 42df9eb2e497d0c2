"""The last closed bars of one instrument and interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from teleglas_prediction.domain.horizons import MAX_BARS

__all__ = ["COLUMNS", "MAX_FILLED", "Bar", "Columns", "Floats", "Window"]

Floats = npt.NDArray[np.float64]

COLUMNS = 5
"""High, low, close, volume, completeness."""
MAX_FILLED = 5
"""A hole of so many bars is filled with flat ones of completeness 0; a longer one starts anew."""
FAR_BARS = 1_440
"""A bar further ahead than this is not believed alone."""


class Bar(NamedTuple):
    """A closed bar `[ts_open, ts_close)`; prices above 0."""

    ts_open: int
    high: float
    low: float
    close: float
    volume: float
    completeness: float


class Columns(NamedTuple):
    """Trailing windows of bars: time runs along the last axis, any axes may stand before it.

    `ts_close` is that of the newest bar of each window.
    """

    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    completeness: Floats
    ts_close: npt.NDArray[np.int64]


@dataclass(slots=True)
class Window:
    """At most MAX_BARS bars without a hole. A bar is taken once, as it was first published."""

    interval_ns: int
    ts_close: int
    """End of the newest bar, 0 before the first."""
    rows: Floats
    """Shape (bars, COLUMNS)."""
    jumped_to: int = 0
    """Begin of a bar far ahead that nothing has confirmed yet."""

    @classmethod
    def empty(cls, interval_ns: int) -> Window:
        return cls(interval_ns, 0, np.empty((0, COLUMNS)))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, bar: Bar) -> bool:
        """Append a newer bar; False for one that is known already, whatever it says now, and for
        one so far ahead that its time may be wrong: the bar behind it must confirm it, else one
        wrong time would make all others old.
        """
        if bar.ts_open < self.ts_close:
            return False
        missing = (bar.ts_open - self.ts_close) // self.interval_ns
        if len(self.rows) and missing > FAR_BARS and not self._follows_jump(bar):
            self.jumped_to = bar.ts_open
            return False
        fresh = [bar[1:]]
        if len(self.rows) and missing > MAX_FILLED:
            self.rows = self.rows[:0]
        elif len(self.rows) and missing:
            close = float(self.rows[-1, 2])
            fresh = [(close, close, close, 0.0, 0.0)] * missing + fresh
        self.rows = np.concatenate([self.rows, np.array(fresh, dtype=np.float64)])[-MAX_BARS:]
        self.ts_close = bar.ts_open + self.interval_ns
        return True

    def _follows_jump(self, bar: Bar) -> bool:
        ahead = bar.ts_open - self.jumped_to
        return 0 < ahead <= (MAX_FILLED + 1) * self.interval_ns

    @property
    def close(self) -> float:
        return float(self.rows[-1, 2])

    @property
    def completeness(self) -> float:
        """Mean over the window."""
        return float(self.rows[:, 4].mean())

    def columns(self) -> Columns:
        """The window as the features see it: no axis before time."""
        high, low, close, volume, completeness = np.ascontiguousarray(self.rows.T)
        return Columns(high, low, close, volume, completeness, np.array(self.ts_close))
