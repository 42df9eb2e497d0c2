"""The newest messages of all lossless channels, in memory: most resumes need no more than these."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import islice

from teleglas_gateway.domain.positions import SubjectKey
from teleglas_gateway.stream.sequence import Event

__all__ = ["Recent"]

RECORD_BYTES = 1536
EVENT_BYTES = 1536
"""What a decoded record and a message of it take besides the record's own bytes: objects, and a
frame in both formats. A test holds them against what a process grows by.
"""
PIECE_EVENTS = 256
"""Handed out at once, so that a slow client keeps no more than these from being let go of."""


class Recent:
    """Keeps messages until all of them together would pass `max_bytes`; the oldest goes first,
    whatever its subject.
    """

    def __init__(self, max_bytes: int) -> None:
        self.held_bytes = 0
        self._max_bytes = max_bytes
        self._chains: dict[SubjectKey, deque[Event]] = {}
        self._ages: deque[tuple[SubjectKey, int]] = deque()

    def add(self, events: Sequence[Event], record_bytes: int) -> None:
        """Keep the messages of one record."""
        if not events:
            return
        weight = EVENT_BYTES + (RECORD_BYTES + record_bytes) // len(events)
        for event in events:
            chain = self._chains.get(event.subject)
            if chain is None:
                chain = self._chains[event.subject] = deque()
            chain.append(event)
            self._ages.append((event.subject, weight))
        self.held_bytes += weight * len(events)
        while self.held_bytes > self._max_bytes:
            subject, weight = self._ages.popleft()
            oldest = self._chains[subject]
            oldest.popleft()
            if not oldest:
                del self._chains[subject]
            self.held_bytes -= weight

    def after(self, subject: SubjectKey, seq: int, last_seq: int | None) -> list[Event] | None:
        """The messages that follow `seq`, at most `PIECE_EVENTS`; empty if it is `last_seq`, the
        subject's newest; None if that cannot be said, or `seq` is none of its messages.
        """
        chain = self._chains.get(subject, deque[Event]())
        place = bisect_right(chain, seq, key=_seq)
        if place == len(chain):
            return [] if seq == last_seq else None
        if chain[place].chain_prev != seq:
            return None
        return list(islice(chain, place, place + PIECE_EVENTS))


def _seq(event: Event) -> int:
    return event.seq or 0
