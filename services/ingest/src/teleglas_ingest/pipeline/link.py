"""One logical connection: a socket that is always there, replaced before the venue ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Protocol

import structlog
from msgspec import Struct

from teleglas_ingest.domain.backoff import Backoff
from teleglas_ingest.domain.events import GapCause
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.domain.progress import SourceClock
from teleglas_ingest.pipeline.meters import Meters
from teleglas_ingest.pipeline.pace import Pace
from teleglas_ingest.pipeline.session import Session, Sink, Wired
from teleglas_ingest.ports import Closed, Dialer, Stream, Venue

__all__ = ["Link", "LinkOwner", "LinkTiming"]

_log = structlog.get_logger(__name__)


class LinkTiming(Struct, frozen=True, kw_only=True):
    """Seconds."""

    pong_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    renewal_timeout_s: float = 30.0
    """How long a replacement may take until all its streams have spoken."""
    let_go_timeout_s: float = 2.0
    """How long the old socket may take to answer that it says no more."""
    max_age_s: float | None = None
    """Overrides the venue's own, for tests and drills."""
    watch_every_s: float = 1.0
    still_ping_every_s: float = 3.0
    """Pings while the connection's clock stands still: only an answer moves its marks, and those
    are leases.
    """
    patience: float = 1.0
    """Times the silence that each stream is allowed."""


class LinkOwner(Sink, Protocol):
    """Told when the subscriptions of a link begin and end to hold."""

    def up(self, link: Link, cause: GapCause) -> None: ...

    def down(self, link: Link, cause: GapCause, detail: str) -> None: ...


class Link:
    """Runs until `stop`. `source` is its stable name on the wire."""

    def __init__(
        self,
        venue: Venue,
        source: str,
        path: str,
        streams: Sequence[Stream],
        markets: Mapping[str, Market],
        owner: LinkOwner,
        clock: SourceClock,
        dialer: Dialer,
        connects: Pace,
        meters: Meters,
        *,
        timing: LinkTiming,
        random: Random,
        wall_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
    ) -> None:
        self.source = source
        self.streams = tuple(streams)
        self.clock = clock
        self.session: Session | None = None
        self._venue = venue
        self._path = path
        self._markets = markets
        self._owner = owner
        self._dialer = dialer
        self._connects = connects
        self._meters = meters
        self._timing = timing
        self._random = random
        self._backoff = Backoff(random)
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._requests = 0
        self._past_frames = 0
        self._renew = asyncio.Event()
        self._reconnect_cause: tuple[GapCause, str] | None = None
        self._stopping = False
        self._paused = False
        self._pace = Pace(venue.limits.messages_per_s, burst=1, monotonic_ns=monotonic_ns)

    @property
    def frames(self) -> int:
        """Frames received since the start, over all sockets."""
        return self._past_frames + (self.session.frames if self.session is not None else 0)

    async def run(self) -> None:
        cause = GapCause.RESTART
        while self.is_running:
            session = await self._open(standby=False)
            if session is None:
                continue
            self.session = session
            self._owner.up(self, cause)
            cause, detail = await self._serve()
            self._meters.connect(self._venue.name, "lost")
            _log.warning("connection lost", source=self.source, cause=cause.name, detail=detail)
            self._owner.down(self, cause, detail)
            await asyncio.sleep(self._backoff.failed())

    @property
    def is_running(self) -> bool:
        return not self._stopping

    def stop(self) -> None:
        self._stopping = True
        if self.session is not None and self.session.socket is not None:
            self.session.socket.close()

    def renew(self) -> None:
        """Make a new connection before this one breaks."""
        self._renew.set()

    def reconnect(self, cause: GapCause, detail: str) -> None:
        """Give this connection up now."""
        self._reconnect_cause = (cause, detail)
        if self.session is not None and self.session.socket is not None:
            self.session.socket.close()

    async def resubscribe(self, streams: Sequence[Stream]) -> None:
        """Leave and take up subscriptions anew on the running socket."""
        session = self.session
        if session is None or session.socket is None:
            return
        await self._send(session, streams, subscribe=False)
        await self._send(session, streams, subscribe=True)

    def press(self, pressed: bool) -> None:
        """Stop or go on reading: what waits to be published is at its bound."""
        self._paused = pressed
        if self.session is not None and self.session.socket is not None:
            (self.session.socket.pause if pressed else self.session.socket.resume)()

    # --- inside ------------------------------------------------------------------------------

    async def _open(self, *, standby: bool) -> Session | None:
        """Connect and subscribe; None when that failed and the back-off was waited for."""
        await self._connects.pass_()
        routes = self._venue.routes(self.streams, self._markets)
        session = Session(
            self._venue,
            self.streams,
            {key: Wired(stream, route) for key, (stream, route) in routes.items()},
            self._owner,
            self.clock,
            wall_ns=self._wall_ns,
            monotonic_ns=self._monotonic_ns,
            patience=self._timing.patience,
            standby=standby,
        )
        try:
            session.socket = await self._dialer.dial(
                self._venue.url(self._path), session.on_frame, session.on_pong
            )
            await self._send(session, self.streams, subscribe=True)
        except (OSError, TimeoutError) as error:
            self._meters.connect(self._venue.name, "failed")
            wait_s = self._backoff.failed()
            _log.warning(
                "connect failed", source=self.source, error=str(error), retry_s=round(wait_s, 2)
            )
            if session.socket is not None:
                session.socket.close()
            await asyncio.sleep(wait_s)
            return None
        self._meters.connect(self._venue.name, "connected")
        if self._paused:
            session.socket.pause()
        return session

    async def _send(self, session: Session, streams: Sequence[Stream], *, subscribe: bool) -> None:
        size = self._venue.limits.streams_per_request
        for start in range(0, len(streams), size):
            part = streams[start : start + size]
            await self._pace.pass_()
            if session.socket is None:
                return
            self._requests += 1
            session.pending[self._requests] = tuple(part)
            if subscribe:
                session.expect(part)
                session.socket.send(self._venue.subscribe(part, self._requests))
            else:
                session.socket.send(self._venue.unsubscribe(part, self._requests))

    async def _serve(self) -> tuple[GapCause, str]:
        """Keep the link up over planned renewals; return why it went down."""
        while True:
            session = self.session
            if session is None or session.socket is None:
                return GapCause.DISCONNECT, "no socket"
            closing = asyncio.ensure_future(session.socket.closed())
            try:
                closed = await self._until_closed(session, closing)
            finally:
                closing.cancel()
            if closed is not None:
                self._past_frames += session.frames
                self.session = None
                given_up, self._reconnect_cause = self._reconnect_cause, None
                return given_up or (GapCause.DISCONNECT, closed.detail)
            replacement = await self._replace(session)
            if replacement is not None:
                self._past_frames += session.frames
                self.session = replacement

    async def _until_closed(
        self, session: Session, closing: asyncio.Future[Closed]
    ) -> Closed | None:
        """The end of the socket, or None when it is time to renew it."""
        limits, timing = self._venue.limits, self._timing
        age_s = timing.max_age_s if timing.max_age_s is not None else limits.max_age_s
        # Connections that were opened together do not end together.
        expires_ns = session.opened_ns + int(age_s * self._random.uniform(0.9, 1.0) * 1e9)
        pinged_ns = moved_ns = self._monotonic_ns()
        seen = self.clock.newest
        while True:
            done, _ = await asyncio.wait({closing}, timeout=timing.watch_every_s)
            if done:
                return closing.result()
            session.watch()
            now_ns = self._monotonic_ns()
            if self._renew.is_set() or now_ns >= expires_ns:
                self._renew.clear()
                return None
            if self.clock.newest != seen:
                seen, moved_ns = self.clock.newest, now_ns
            if session.frames:
                self._backoff.succeeded()
            stale = self._stale(session, now_ns)
            if stale is not None and session.socket is not None:
                self.reconnect(GapCause.DISCONNECT, stale)
            elif session.socket is not None and now_ns - pinged_ns >= self._ping_after_ns(
                now_ns - moved_ns
            ):
                pinged_ns = now_ns
                self._ping(session, now_ns)

    def _ping_after_ns(self, still_ns: int) -> int:
        """How long after the last ping the next one is due, when event time stands still so long.

        One interval of the watch is taken off, as it looks no sooner.
        """
        every_s = self._venue.limits.ping_every_s
        stills_s = self._timing.still_ping_every_s - self._timing.watch_every_s
        if still_ns >= int(stills_s * 1e9):
            every_s = min(every_s, stills_s)
        return int(every_s * 1e9)

    def _ping(self, session: Session, now_ns: int) -> None:
        if session.socket is None or session.pong_due_ns is not None:
            return
        session.pong_due_ns = now_ns + int(self._timing.pong_timeout_s * 1e9)
        self.clock.ping()
        text = self._venue.limits.ping_text
        if text is None:
            session.socket.ping()
        else:
            session.socket.send(text)

    def _stale(self, session: Session, now_ns: int) -> str | None:
        if self._paused:
            session.pong_due_ns = None
            return None
        if session.pong_due_ns is not None and now_ns > session.pong_due_ns:
            quiet_ns = now_ns - session.last_frame_ns
            if quiet_ns > int(self._timing.pong_timeout_s * 1e9):
                return f"expected a pong within {self._timing.pong_timeout_s} s"
            session.pong_due_ns = None
        if now_ns - session.last_frame_ns > int(self._timing.idle_timeout_s * 1e9):
            return f"expected a frame within {self._timing.idle_timeout_s} s"
        return None

    async def _replace(self, old: Session) -> Session | None:
        """Make the next socket before this one is broken off; both feed the same books and tapes,
        which drop what they have seen. None where the new one did not come to speak.
        """
        session = await self._open(standby=True)
        if session is None or session.socket is None:
            return None
        deadline_ns = self._monotonic_ns() + int(self._timing.renewal_timeout_s * 1e9)
        while not session.spoke and self._monotonic_ns() < deadline_ns:
            session.watch()
            old.watch()
            await asyncio.sleep(min(0.05, self._timing.watch_every_s))
            session.offer()
        await self._let_go(old)
        session.standby = False
        session.offer()
        self._meters.connect(self._venue.name, "renewed")
        return session

    async def _let_go(self, old: Session) -> None:
        """Unsubscribe and read on until that is answered: what the venue had sent before is here
        then, and nothing is left that only the old socket was given.
        """
        if old.socket is None:
            return
        old.pending.clear()
        await self._send(old, old.streams, subscribe=False)
        deadline_ns = self._monotonic_ns() + int(self._timing.let_go_timeout_s * 1e9)
        while old.pending and self._monotonic_ns() < deadline_ns:  # noqa: ASYNC110  acks are few
            await asyncio.sleep(min(0.05, self._timing.watch_every_s))
        old.socket.close()
