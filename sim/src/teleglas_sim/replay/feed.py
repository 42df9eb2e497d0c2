"""What the venues' feeds of a replay share: subscriptions, fan-out and the status answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping

import msgspec

from teleglas_sim.replay.play import Play
from teleglas_sim.server import FaultBoard, Frame, FrameSink, RestAnswer, StreamHub

__all__ = ["STATUS_PATH", "ReplayFeed"]

STATUS_PATH = "/replay/status"


class _Names(Collection[str]):
    """The recorded names; membership is the feed's, which serves further names from them."""

    def __init__(self, feed: ReplayFeed) -> None:
        self._feed = feed

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._feed.knows(name)

    def __iter__(self) -> Iterator[str]:
        streams = self._feed.play.timeline.streams
        return iter([s.name for s in streams if s.venue == self._feed.venue])

    def __len__(self) -> int:
        return sum(1 for _ in self)


class ReplayFeed(ABC):
    """A `Feed` of one venue behind its server, and an `Outlet` of the play."""

    def __init__(self, play: Play, venue: str, faults: FaultBoard) -> None:
        self.play = play
        self.venue = venue
        self._hub = StreamHub(faults)
        self._followed: dict[int, list[str]] = {}
        self._names = _Names(self)

    @abstractmethod
    def knows(self, name: str) -> bool:
        """Whether the venue would accept a subscription under this name."""

    @abstractmethod
    def resolve(self, name: str) -> int | None:
        """The recorded stream that serves a subscription under this name."""

    @abstractmethod
    def payload(self, frame: bytes, stream_id: int, name: str) -> bytes:
        """What the server frames for a subscription to `name`; only the name may change."""

    @abstractmethod
    def opening(self, stream_id: int) -> bytes | None:
        """What a new subscriber gets before the first recorded frame."""

    @abstractmethod
    def keep_up(self) -> None:
        """Bring books that are in use to the present position."""

    @abstractmethod
    async def answer(self, path: str, query: Mapping[str, str]) -> RestAnswer:
        """A REST call as the venue would answer it at the present position."""

    def streams(self) -> Collection[str]:
        return self._names

    async def subscribe(self, stream: str, sink: FrameSink) -> None:
        stream_id = self.resolve(stream)
        if stream_id is None:
            return
        followed = self._followed.setdefault(stream_id, [])
        if stream not in followed:
            followed.append(stream)
        opening = self.opening(stream_id)
        self._hub.add(stream, sink)
        self.play.audience.join(stream_id, sink)
        if opening is not None:
            sink.send(Frame(stream, opening))

    async def unsubscribe(self, stream: str, sink: FrameSink) -> None:
        stream_id = self.resolve(stream)
        if stream_id is None:
            return
        self._hub.remove(stream, sink)
        self.play.audience.leave(stream_id, sink)
        if not self._hub.wanted(stream) and stream in self._followed.get(stream_id, ()):
            self._followed[stream_id].remove(stream)

    async def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer:
        if path == STATUS_PATH:
            return RestAnswer(msgspec.json.encode(self.play.status()))
        return await self.answer(path, query)

    def push(self, stream_id: int, frame: bytes) -> bool:
        names = self._followed.get(stream_id)
        if not names:
            return False
        for name in names:
            self._hub.publish(name, self.payload(frame, stream_id, name))
        return True

    def release(self) -> None:
        self._hub.release()

    @property
    def now_ms(self) -> int:
        """The recorder's clock at the venue's newest played frame, before that at its first."""
        timeline = self.play.timeline
        positions = [
            timeline.positions[stream_id]
            for stream_id, stream in enumerate(timeline.streams)
            if stream.venue == self.venue
        ]
        played = [row[bisect_left(row, self.play.position) - 1] for row in positions]
        past = [position for position in played if position < self.play.position]
        newest = max(past) if past else min(row[0] for row in positions)
        return timeline.ts_recv[newest] // 1_000_000

    def recorded(self, path: str) -> list[bytes]:
        """The bodies of the recorded answers on a path up to the position, newest first; those
        behind it follow, because reference data is asked for before the play begins.
        """
        timeline = self.play.timeline
        answers = [a for a in timeline.answers if (a.venue, a.path) == (self.venue, path)]
        past = [answer for answer in answers if answer.position <= self.play.position]
        return [timeline.body(answer) for answer in [*reversed(past), *answers[len(past) :]]]
