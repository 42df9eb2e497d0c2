"""One chain of messages and everyone who listens to it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from teleglas_gateway.channels.base import Channel, Policy
from teleglas_gateway.domain.positions import SubjectKey
from teleglas_gateway.stream.outbox import Audience, Outbox, Run
from teleglas_gateway.stream.sequence import Event, PartitionLog
from teleglas_gateway.stream.wire import Wire

if TYPE_CHECKING:
    from teleglas_gateway.stream.conflate import ConflateGroup

__all__ = ["Subject"]


class Subject:
    """Holds the newest messages for snapshots and hands each live one to its listeners."""

    __slots__ = (
        *("_pending", "_snapshots", "audiences", "channel"),
        *("groups", "is_active", "key", "log", "recent"),
    )

    def __init__(self, channel: Channel, key: SubjectKey, log: PartitionLog) -> None:
        self.channel = channel
        self.key = key
        self.log = log
        self.recent: deque[Event] = deque(maxlen=channel.snapshot_messages or 1)
        self.audiences: dict[Wire, Audience] = {}
        self.is_active = False
        self.groups: dict[ConflateGroup, None] = {}
        self._pending: list[Event] = []
        self._snapshots: dict[str, tuple[int | None, bytes]] = {}

    @property
    def last_seq(self) -> int | None:
        return self.log.last_seq(self.key)

    @property
    def is_wanted(self) -> bool:
        return bool(self.audiences or self.groups)

    def take(self, event: Event) -> bool:
        """Keep a message for snapshots and, if somebody wants it, for the next `flush`."""
        if self.channel.policy is Policy.LOSSLESS:
            self.recent.append(event)
        if not self.is_wanted:
            return False
        self._pending.append(event)
        return True

    def flush(self) -> tuple[list[Event], int, int]:
        """Write what was taken to everyone, as one piece each; return it, the deliveries and their
        bytes.
        """
        events, self._pending = self._pending, []
        self.is_active = True
        for group in self.groups:
            group.mark(self)
        deliveries = sent_bytes = 0
        run = Run(self.channel.policy, self.key, events[0].chain_prev, events[-1].seq, len(events))
        for wire, audience in list(self.audiences.items()):
            frames = [frame for event in events if (frame := event.frame(wire)) is not None]
            if frames:
                piece = frames[0] if len(frames) == 1 else b"".join(frames)
                deliveries += len(frames) * len(audience)
                sent_bytes += len(piece) * len(audience)
                audience.write(piece, run)
        return events, deliveries, sent_bytes

    def deliver_fleeting(self, event: Event) -> None:
        """Write a message that need not arrive."""
        for wire, audience in list(self.audiences.items()):
            frame = event.frame(wire)
            if frame is not None:
                audience.write(frame, None)

    def attach(self, wire: Wire, outbox: Outbox) -> None:
        audience = self.audiences.get(wire)
        if audience is None:
            audience = self.audiences[wire] = Audience()
        audience.add(outbox)

    def detach(self, wire: Wire, outbox: Outbox) -> None:
        audience = self.audiences.get(wire)
        if audience is not None:
            audience.remove(outbox)
            if not audience:
                del self.audiences[wire]

    def snapshot(self, wire: Wire, now_ns: int) -> bytes:
        """The finished snapshot frame, encoded once a format and seq."""
        seq = self.last_seq
        cached = self._snapshots.get(wire.name)
        if cached is not None and cached[0] == seq and seq is not None:
            return cached[1]
        frame = wire.snapshot(self.channel, self.key, self.log.epoch, seq, self._parts(), now_ns)
        self._snapshots[wire.name] = (seq, frame)
        return frame

    def view(self) -> Event | None:
        """The newest state as a message that stands by itself, for conflated listeners."""
        payload = self.log.fold.current(self.key)
        if payload is None:
            return None
        shown = self.channel.view(payload)
        return Event(self.channel, self.key, self.log.epoch, self.last_seq, None, None, shown)

    def _parts(self) -> list[tuple[int | None, object]]:
        if self.channel.policy is Policy.LOSSLESS:
            wanted = self.channel.snapshot_messages
            return [(event.seq, event.payload) for event in self.recent] if wanted else []
        payload = self.log.fold.current(self.key)
        return [] if payload is None else [(self.last_seq, payload)]
