"""One socket of a connection: routes its frames, watches what was subscribed, never raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from teleglas_ingest.domain.events import Event
from teleglas_ingest.domain.numbers import RefusedError
from teleglas_ingest.domain.progress import SourceClock
from teleglas_ingest.domain.silence import SilenceDetector, Silent
from teleglas_ingest.ports import Ack, Control, Failure, Notice, Pong, Route, Socket, Stream, Venue

__all__ = ["Session", "Sink", "Wired"]

MAX_FUTURE_NS = 5_000_000_000
"""An event so much later than our clock is no time of this market: it would carry the marks
ahead of all that follows. Our clock may be behind by a second or two.
"""
MAX_DEAD_FRAME_BYTES = 1 << 20


MAX_AHEAD = 20_000
"""Trades that a new socket may be ahead of the one that it replaces."""


class Wired(Struct):
    """A subscription on a socket, and whether it has said anything yet."""

    stream: Stream
    route: Route
    frames: int = 0
    checked: int = 0


class Sink(Protocol):
    """Where a session's events go."""

    def take(self, event: Event, session: Session) -> None: ...

    def refuse(self, frame: bytes, stream: Stream | None, reason: str, detail: str) -> None: ...

    def silent(self, session: Session, stream: Stream, silent: Silent) -> None: ...

    def failed(self, session: Session, failure: Failure) -> None: ...

    def closing(self, session: Session, notice: str) -> None: ...


class Session:
    """One socket. It is primary, or stands by until it takes over from the one before it."""

    def __init__(
        self,
        venue: Venue,
        streams: Sequence[Stream],
        wired: dict[bytes, Wired],
        sink: Sink,
        source: SourceClock,
        *,
        wall_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
        patience: float = 1.0,
        standby: bool,
    ) -> None:
        self.streams = tuple(streams)
        self.standby = standby
        self.socket: Socket | None = None
        self.opened_ns = monotonic_ns()
        self.last_frame_ns = self.opened_ns
        self.frames = 0
        self.pong_due_ns: int | None = None
        self.pending: dict[int, tuple[Stream, ...]] = {}
        self.ahead: list[Event] = []
        """Trades before which the older socket has others still on their way."""
        self._venue = venue
        self._routes = wired
        self._sink = sink
        self._source = source
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._key = venue.key
        self._checked_frames = 0
        self._silence = SilenceDetector(
            {
                stream.name: int(stream.patience_s * patience * 1e9)
                for stream in streams
                if stream.patience_s is not None
            }
        )

    # --- the hot path --------------------------------------------------------------------------

    def on_frame(self, frame: bytes) -> None:
        self.frames += 1
        wired = self._routes.get(self._key(frame))
        if wired is None:
            wired = self._unrouted(frame)
            if wired is None:
                return
        wired.frames += 1
        try:
            events = wired.route(frame, self._wall_ns())
        except RefusedError as error:
            self._sink.refuse(frame, wired.stream, error.reason, error.detail)
            return
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._sink.refuse(frame, wired.stream, "undecodable", str(error))
            return
        except (RecursionError, OverflowError, ValueError) as error:
            self._sink.refuse(frame, wired.stream, "unreadable", str(error))
            return
        source, take = self._source, self._sink.take
        for event in events:
            ts_event = event.ts_event
            if ts_event > source.newest:
                if ts_event > self._wall_ns() + MAX_FUTURE_NS:
                    detail = f"expected at most 5 s ahead of our clock, was {ts_event}"
                    self._sink.refuse(frame, wired.stream, "future_time", detail)
                    return
                source.see(ts_event)
            take(event, self)

    def hold(self, event: Event) -> bool:
        """Keep a trade until the older socket has caught up with it; False when there is no room.

        The two sockets are read in turns, so what comes first here is no proof of a hole.
        """
        if len(self.ahead) >= MAX_AHEAD:
            return False
        self.ahead.append(event)
        return True

    def offer(self) -> None:
        """Hand on again what was held: it may have come by the older socket by now."""
        ahead, self.ahead = self.ahead, []
        for event in ahead:
            self._sink.take(event, self)

    def on_pong(self) -> None:
        self.pong_due_ns = None
        self.last_frame_ns = self._monotonic_ns()
        self._source.pong()

    # --- everything else -----------------------------------------------------------------------

    def _unrouted(self, frame: bytes) -> Wired | None:
        try:
            control = self._venue.control(frame)
            if control is not None:
                self._on_control(control)
                return None
            key = self._venue.parsed_key(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
            self._sink.refuse(frame, None, "undecodable", str(error))
            return None
        wired = self._routes.get(key) if key is not None else None
        if wired is None:
            self._sink.refuse(
                frame, None, "unknown_stream", f"expected a stream we asked for: {key!r}"
            )
        return wired

    def _on_control(self, control: Control) -> None:
        if isinstance(control, Pong):
            self.on_pong()
        elif isinstance(control, Notice):
            self._sink.closing(self, control.detail)
        elif isinstance(control, Failure):
            self._sink.failed(self, control)
        else:
            self._acknowledged(control)

    def _acknowledged(self, ack: Ack) -> None:
        if ack.request_id is None:
            return
        now_ns = self._monotonic_ns()
        for stream in self.pending.get(ack.request_id, ()):
            if ack.stream is None or ack.stream == stream.name:
                self._silence.subscribed(stream.name, now_ns)
        if ack.stream is None:
            self.pending.pop(ack.request_id, None)
        else:
            rest = tuple(s for s in self.pending.get(ack.request_id, ()) if s.name != ack.stream)
            if rest:
                self.pending[ack.request_id] = rest
            else:
                self.pending.pop(ack.request_id, None)

    def watch(self) -> None:
        """Called every second: note who spoke, name who should have."""
        now_ns = self._monotonic_ns()
        if self.frames != self._checked_frames:
            self._checked_frames = self.frames
            self.last_frame_ns = now_ns
        by_name: dict[str, Stream] = {}
        for wired in self._routes.values():
            by_name[wired.stream.name] = wired.stream
            if wired.frames != wired.checked:
                wired.checked = wired.frames
                self._silence.heard(wired.stream.name, now_ns)
        for silent in self._silence.overdue(now_ns):
            self._sink.silent(self, by_name[silent.stream], silent)

    def expect(self, streams: Sequence[Stream]) -> None:
        """Start the patience of subscriptions whose acknowledgement may never come."""
        now_ns = self._monotonic_ns()
        for stream in streams:
            self._silence.subscribed(stream.name, now_ns)

    @property
    def spoke(self) -> bool:
        """Every subscription that has a patience has delivered."""
        return all(
            self._silence.spoke(stream.name)
            for stream in self.streams
            if stream.patience_s is not None and not stream.probe
        )
