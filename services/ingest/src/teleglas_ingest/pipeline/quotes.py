"""Bid and ask of one instrument, conflated: of those in a window the last is published."""

from __future__ import annotations

from teleglas_ingest.domain.events import Ticker

__all__ = ["Quotes"]


class Quotes:
    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._waiting: Ticker | None = None

    def add(self, ticker: Ticker) -> Ticker | None:
        """Take a quote; return the one before it where that was the last of its window."""
        before, self._waiting = self._waiting, ticker
        if before is not None and self._window(before) != self._window(ticker):
            return before
        return None

    def due(self, ts_ingest: int) -> Ticker | None:
        """What has waited for a window."""
        waiting = self._waiting
        if waiting is not None and ts_ingest - waiting.ts_ingest >= self._window_ns:
            return self.take()
        return None

    @property
    def due_ts(self) -> int | None:
        """When what waits has to go; None where nothing does."""
        return self._waiting.ts_ingest + self._window_ns if self._waiting is not None else None

    def take(self) -> Ticker | None:
        waiting, self._waiting = self._waiting, None
        return waiting

    def _window(self, ticker: Ticker) -> int:
        if not self._window_ns:
            return ticker.sequence or 0
        return (ticker.ts_event or ticker.ts_ingest) // self._window_ns
