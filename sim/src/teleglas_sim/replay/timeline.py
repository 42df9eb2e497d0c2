"""All captures of a replay as one row of frames in time order, indexed, with the bytes on disk.

A frame costs 26 bytes of memory whatever its size, so hours of frames play in bounded memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from teleglas_sim.replay.blob_file import BlobFile
from teleglas_sim.replay.streams import Channel, Stream

__all__ = ["Answer", "Timeline", "TradeIndex"]

_TRADE_CHANNELS = (Channel.TRADES, Channel.AGG_TRADES)


@dataclass(slots=True)
class TradeIndex:
    """The trade ids of one stream in recorded order, each with the position of its frame."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    positions: array[int] = field(default_factory=lambda: array("q"))

    def add(self, trade_id: int, position: int) -> None:
        self.ids.append(trade_id)
        self.positions.append(position)

    def released(self, position: int) -> int:
        """How many trades lie before a position of the play."""
        return bisect_left(self.positions, position)


@dataclass(frozen=True, slots=True)
class Answer:
    """A recorded REST answer, given when `position` frames had been received."""

    venue: str
    path: str
    query: dict[str, str]
    symbol: str
    position: int
    body: int


class Timeline:
    """Frames 0 to `total` of all captures in time order, and the REST answers between them."""

    def __init__(self) -> None:
        self._frames = BlobFile()
        self._bodies = BlobFile()
        self.ts_recv = array("q")
        self.stream_ids = array("H")
        self.streams: list[Stream] = []
        self.positions: list[array[int]] = []
        self.trades: dict[int, TradeIndex] = {}
        self.answers: list[Answer] = []
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._frames.close()
        self._bodies.close()

    @property
    def total(self) -> int:
        return len(self.ts_recv)

    def frame(self, position: int) -> bytes:
        """The frame at a position, byte for byte as it was recorded."""
        return self._frames.read(position, position + 1)[0]

    def frames(self, start: int, stop: int) -> list[bytes]:
        """The frames of a range of positions in one read."""
        return self._frames.read(start, stop)

    def body(self, answer: Answer) -> bytes:
        return self._bodies.read(answer.body, answer.body + 1)[0]

    def find(self, venue: str, symbol: str, channel: Channel) -> int | None:
        """The id of the stream of an instrument on a channel, where it was recorded."""
        for stream_id, stream in enumerate(self.streams):
            if (stream.venue, stream.symbol, stream.channel) == (venue, symbol, channel):
                return stream_id
        return None

    def symbols(self, venue: str) -> list[str]:
        """The instruments of a venue that have a stream of their own, sorted."""
        return sorted({s.symbol for s in self.streams if s.venue == venue and s.symbol})

    def venues(self) -> list[str]:
        return sorted({stream.venue for stream in self.streams})

    def add_stream(self, stream: Stream) -> int:
        """Returns the id under which its frames are added."""
        self.streams.append(stream)
        self.positions.append(array("q"))
        if stream.channel in _TRADE_CHANNELS:
            self.trades[len(self.streams) - 1] = TradeIndex()
        return len(self.streams) - 1

    def add_frame(self, ts_recv: int, stream_id: int, payload: bytes) -> int:
        """Append a frame; returns its position."""
        position = self._frames.append(payload)
        self.ts_recv.append(ts_recv)
        self.stream_ids.append(stream_id)
        self.positions[stream_id].append(position)
        return position

    def add_body(self, payload: bytes) -> int:
        """Keep the text of a REST answer; returns what `Answer.body` holds."""
        return self._bodies.append(payload)
