"""From the records of one partition to numbered messages, the same ones on every pod."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from teleglas_gateway.channels.base import Channel
from teleglas_gateway.domain.positions import SubjectKey, offset_of, pack_seq
from teleglas_gateway.stream.outbox import Run
from teleglas_gateway.stream.wire import Wire

__all__ = ["Event", "PartitionLog"]


class Event:
    """One message. It is encoded once a wire format, when the first client wants it.

    `chain_prev` is the message before it as far as this pod knows; `prev_seq` is what clients see:
    None once that lies further back than the channel's lookback, so that every pod says the same.
    """

    __slots__ = (
        "_frames",
        "chain_prev",
        "channel",
        "epoch",
        "payload",
        "prev_seq",
        "seq",
        "subject",
    )

    def __init__(
        self,
        channel: Channel,
        subject: SubjectKey,
        epoch: str,
        seq: int | None,
        chain_prev: int | None,
        prev_seq: int | None,
        payload: Any,
    ) -> None:
        self.channel = channel
        self.subject = subject
        self.epoch = epoch
        self.seq = seq
        self.chain_prev = chain_prev
        self.prev_seq = prev_seq
        self.payload = payload
        self._frames: dict[str, bytes | None] = {}

    @property
    def run(self) -> Run:
        """This message as all that is written."""
        return Run(self.channel.policy, self.subject, self.chain_prev, self.seq)

    @property
    def encodes(self) -> int:
        return len(self._frames)

    def frame(self, wire: Wire) -> bytes | None:
        """The finished frame; None if the format does not show this message."""
        try:
            return self._frames[wire.name]
        except KeyError:
            frame = None
            if wire.shows(self.channel, self.payload):
                frame = wire.message(
                    self.channel, self.subject, self.epoch, self.seq, self.prev_seq, self.payload
                )
            self._frames[wire.name] = frame
            return frame


class PartitionLog:
    """Folds one partition in order. Two of them that start `lookback` apart agree from there on."""

    __slots__ = ("_last", "channel", "epoch", "fold")

    def __init__(self, channel: Channel, epoch: str) -> None:
        self.channel = channel
        self.epoch = epoch
        self.fold = channel.fold()
        self._last: dict[SubjectKey, int] = {}

    def last_seq(self, subject: SubjectKey) -> int | None:
        return self._last.get(subject)

    def read(self, offset: int, message: Message) -> list[Event]:
        horizon = offset - self.channel.lookback
        events = []
        for subject, place, payload in self.fold.read(message):
            seq = pack_seq(offset, place)
            prev = self._last.get(subject)
            self._last[subject] = seq
            shown = prev if prev is not None and offset_of(prev) >= horizon else None
            events.append(Event(self.channel, subject, self.epoch, seq, prev, shown, payload))
        return events
