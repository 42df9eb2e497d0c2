"""The play of a timeline: frames to the clients that asked for them, in order, none lost."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec

from teleglas_sim.replay.audience import Audience
from teleglas_sim.replay.pace import Pace
from teleglas_sim.replay.snapshot_hold import SnapshotHold
from teleglas_sim.replay.timeline import Timeline

__all__ = ["Outlet", "Play", "PlayState", "Status", "StreamStatus"]

_CHUNK_FRAMES = 256
_KEEP_UP_FRAMES = 20_000


class PlayState(StrEnum):
    """`waiting` for subscriptions, `playing`, `paused` for a lost listener, `drained`."""

    WAITING = "waiting"
    PLAYING = "playing"
    PAUSED = "paused"
    DRAINED = "drained"


class StreamStatus(msgspec.Struct, frozen=True):
    """One recorded stream: frames in the capture, before the position, and sent to a client."""

    venue: str
    stream: str
    frames: int
    played: int
    sent: int
    subscribers: int


class Status(msgspec.Struct, frozen=True):
    """What `GET /replay/status` says. `ts_recv` is the recorder's clock at the position, in ns."""

    state: PlayState
    drained: bool
    position: int
    total: int
    sent: int
    ts_recv: int
    streams: list[StreamStatus]
    notes: list[str]


class Outlet(Protocol):
    """The feed of one venue, as the play sees it."""

    def push(self, stream_id: int, frame: bytes) -> bool:
        """Hand a frame to those who follow its stream; False when nobody does."""
        ...

    def release(self) -> None:
        """Let out what a planted fault held back until now."""
        ...

    def keep_up(self) -> None:
        """Bring books that are in use to the present position."""
        ...


class Play:
    """Frames before `position` have been handed out; REST answers describe the market there."""

    def __init__(
        self,
        timeline: Timeline,
        audience: Audience,
        pace: Pace,
        hold: SnapshotHold,
        clock_s: Callable[[], float],
    ) -> None:
        self.timeline = timeline
        self.audience = audience
        self.hold = hold
        self.position = 0
        self.state = PlayState.WAITING
        self._pace = pace
        self._clock_s = clock_s
        self._outlets: dict[str, Outlet] = {}
        self._sent = [0] * len(timeline.streams)
        self._drained = asyncio.Event()
        self._next_keep_up = _KEEP_UP_FRAMES

    def connect(self, venue: str, outlet: Outlet) -> None:
        """Play the streams of `venue` into `outlet`."""
        self._outlets[venue] = outlet

    @property
    def now_ns(self) -> int:
        """The recorder's clock at the position."""
        return self.timeline.ts_recv[min(self.position, self.timeline.total - 1)]

    def status(self) -> Status:
        streams = [
            StreamStatus(
                venue=stream.venue,
                stream=stream.name,
                frames=len(self.timeline.positions[stream_id]),
                played=bisect_left(self.timeline.positions[stream_id], self.position),
                sent=self._sent[stream_id],
                subscribers=self.audience.count(stream_id),
            )
            for stream_id, stream in enumerate(self.timeline.streams)
        ]
        return Status(
            state=self.state,
            drained=self.state is PlayState.DRAINED,
            position=self.position,
            total=self.timeline.total,
            sent=sum(self._sent),
            ts_recv=self.now_ns,
            streams=streams,
            notes=self.timeline.notes,
        )

    async def drained(self) -> None:
        """Wait until the last frame is in the clients' sockets."""
        await self._drained.wait()

    async def run(self) -> None:
        """Wait for an audience and play to the end."""
        await self.audience.ready()
        self._resume()
        while self.position < self.timeline.total:
            if self.audience.orphans:
                self.state = PlayState.PAUSED
                await self.audience.complete()
                self._resume()
            due = self._pace.due(self.position, self._clock_s())
            if due > self.position:
                self._send(min(due, self.position + _CHUNK_FRAMES))
                await self._drain()
                if self.hold.is_active:
                    await self.hold.over()
            else:
                await asyncio.sleep(self._pace.wait_s(self.position, self._clock_s()))
        self.state = PlayState.DRAINED
        self._drained.set()

    def _resume(self) -> None:
        self.state = PlayState.PLAYING
        self._pace.start(self.position, self._clock_s())

    def _send(self, stop: int) -> None:
        """No await in here: a subscription or REST answer never sees half a step."""
        frames = self.timeline.frames(self.position, stop)
        outlets = [self._outlets.get(stream.venue) for stream in self.timeline.streams]
        for position, frame in enumerate(frames, self.position):
            stream_id = self.timeline.stream_ids[position]
            outlet = outlets[stream_id]
            if outlet is not None and outlet.push(stream_id, frame):
                self._sent[stream_id] += 1
                self.hold.sent(stream_id)
                if self.hold.is_active:
                    stop = position + 1
                    break
        self.position = stop
        for active in self._outlets.values():
            active.release()
        if stop >= self._next_keep_up:
            self._next_keep_up = stop + _KEEP_UP_FRAMES
            for active in self._outlets.values():
                active.keep_up()

    async def _drain(self) -> None:
        """The slowest client sets the speed: nobody's frames are dropped.

        The last client's `drain` also yields to the event loop, so that REST and new clients get
        their turn.
        """
        sinks = tuple(self.audience.sinks)
        if not sinks:
            await asyncio.sleep(0)
        for sink in sinks:
            await sink.drain()
