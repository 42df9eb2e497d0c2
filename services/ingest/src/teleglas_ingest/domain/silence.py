"""Finds subscriptions that were acknowledged and say nothing, or stopped saying anything."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

__all__ = ["SilenceDetector", "Silent"]


class Silent(Struct, frozen=True):
    """A stream that is overdue. `never_spoke`: since it was acknowledged."""

    stream: str
    quiet_ns: int
    never_spoke: bool


class SilenceDetector:
    """Watches streams that are known to speak at least every so often (their patience)."""

    def __init__(self, patience_ns: Mapping[str, int]) -> None:
        self._patience_ns = dict(patience_ns)
        self._last_ns: dict[str, int] = {}
        self._spoke: set[str] = set()

    def subscribed(self, stream: str, now_ns: int) -> None:
        if stream in self._patience_ns:
            self._last_ns[stream] = now_ns
            self._spoke.discard(stream)

    def heard(self, stream: str, now_ns: int) -> None:
        self._last_ns[stream] = now_ns
        self._spoke.add(stream)

    def spoke(self, stream: str) -> bool:
        return stream in self._spoke

    def overdue(self, now_ns: int) -> list[Silent]:
        """Streams that should have spoken by now, each named again after another patience."""
        late: list[Silent] = []
        for stream, last_ns in self._last_ns.items():
            patience_ns = self._patience_ns.get(stream)
            if patience_ns is not None and now_ns - last_ns > patience_ns:
                late.append(Silent(stream, now_ns - last_ns, stream not in self._spoke))
        for silent in late:
            self._last_ns[silent.stream] = now_ns
        return late
