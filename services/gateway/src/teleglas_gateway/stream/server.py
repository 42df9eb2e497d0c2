"""All sessions of one pod: admission, heartbeats, pings, keys that die, and a planned goodbye."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable

from teleglas_gateway.domain.keys import Grant
from teleglas_gateway.domain.problems import CloseCode, Code, Problem
from teleglas_gateway.ports import Keys
from teleglas_gateway.stream.context import StreamContext, StreamSettings
from teleglas_gateway.stream.session import Link, Session
from teleglas_gateway.stream.wire import Wire

__all__ = ["Admissions", "StreamServer"]

RECONNECT_SPREAD_S = 5.0
"""Clients of a stopping pod are told to wait up to this long, each another time."""


class Admissions:
    """Counts the sessions of each key."""

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._by_key: dict[str, set[Session]] = defaultdict(set)

    @property
    def key_ids(self) -> set[str]:
        return set(self._by_key)

    def admit(self, session: Session, grant: Grant) -> None:
        sessions = self._by_key[grant.key_id]
        limit = self._settings.max_connections_per_key
        if len(sessions) >= limit:
            raise Problem(
                Code.CONNECTION_LIMIT,
                f"expected at most {limit} connections a key",
                retry_after_s=1,
            )
        sessions.add(session)

    def leave(self, session: Session) -> None:
        if session.grant is None:
            return
        sessions = self._by_key.get(session.grant.key_id, set())
        sessions.discard(session)
        if not sessions:
            self._by_key.pop(session.grant.key_id, None)

    def of(self, key_id: str) -> list[Session]:
        return list(self._by_key.get(key_id, ()))


class StreamServer:
    """Opens and closes sessions; one task looks after all of them once a second."""

    def __init__(
        self,
        context: StreamContext,
        admissions: Admissions,
        keys: Keys,
        wires: dict[str, Wire],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        spread: random.Random | None = None,
    ) -> None:
        self._context = context
        self._admissions = admissions
        self._keys = keys
        self._wires = wires
        self._monotonic_s = monotonic_s
        self._spread = spread or random.Random()
        self._sessions: dict[Session, Pulse] = {}
        self._checked_keys_s = monotonic_s()
        self.is_stopping = False

    @property
    def settings(self) -> StreamSettings:
        return self._context.settings

    def __len__(self) -> int:
        return len(self._sessions)

    def refusal(self, path: str) -> Problem | None:
        """Why a handshake on this path is turned away."""
        if path not in self._wires:
            known = ", ".join(sorted(self._wires))
            return Problem(Code.NOT_FOUND, f"expected one of {known}, was {path[:80]!r}")
        if self.is_stopping:
            return Problem(Code.SHUTTING_DOWN, "expected another gateway", retry_after_s=1)
        limit = self.settings.max_connections
        if len(self._sessions) >= limit:
            detail = f"expected at most {limit} connections to one gateway"
            return Problem(Code.CONNECTION_LIMIT, detail, retry_after_s=5)
        return None

    def open(self, path: str, link: Link, pulse: Pulse, authorization: str | None) -> Session:
        session = Session(self._context, self._wires[path], link, self._monotonic_s())
        self._sessions[session] = pulse
        self._count()
        session.start(authorization)
        return session

    def closed(self, session: Session) -> None:
        """The socket is gone."""
        session.gone()
        self._sessions.pop(session, None)
        self._admissions.leave(session)
        self._count()

    async def run(self) -> None:
        """Look after every session once a second until cancelled."""
        while True:
            await asyncio.sleep(self.settings.heartbeat_s)
            self.look_after()
            await self._recheck_keys()

    def look_after(self) -> None:
        now_s, now_ns = self._monotonic_s(), self._context.now_ns()
        for session, pulse in list(self._sessions.items()):
            if not session.is_open:
                continue
            if session.grant is None and now_s - session.opened_s > self.settings.auth_deadline_s:
                deadline_s = self.settings.auth_deadline_s
                problem = Problem(Code.AUTH_DEADLINE, f"expected auth within {deadline_s:g} s")
                session.end(CloseCode.AUTH_DEADLINE, problem)
                continue
            if pulse.is_over(now_s):
                session.end(*self._silent(session))
                continue
            session.heartbeat(now_ns)
            pulse.beat(now_s)
        self._context.hub.rest()

    def _silent(self, session: Session) -> tuple[int, Problem]:
        """A client that has said nothing: it does not read, or it is gone."""
        silent = f"nothing was heard for {self.settings.drop_after_s:g} s"
        if session.outbox.writable:
            return CloseCode.PING_TIMEOUT, Problem(Code.PING_TIMEOUT, silent)
        problem = Problem(Code.SLOW_READER, f"{silent}, and what was sent was not read")
        return CloseCode.SLOW_READER, problem

    def say_goodbye(self) -> None:
        """Tell every client that this pod stops, where to resume and when to come back."""
        self.is_stopping = True
        for session in list(self._sessions):
            wait_s = round(self._spread.uniform(0, RECONNECT_SPREAD_S), 3)
            problem = Problem(
                Code.SHUTTING_DOWN, "this gateway stops, another goes on", retry_after_s=wait_s
            )
            session.end(CloseCode.SERVICE_RESTART, problem)

    def _count(self) -> None:
        self._context.watcher.clients("websocket", len(self._sessions))

    async def _recheck_keys(self) -> None:
        now_s = self._monotonic_s()
        if now_s - self._checked_keys_s < self.settings.recheck_keys_s:
            return
        self._checked_keys_s = now_s
        try:
            dead = await self._keys.dead(self._admissions.key_ids)
        except Problem:
            # the key store is away: sessions go on, the next turn asks again
            return
        for key_id in dead:
            for session in self._admissions.of(key_id):
                problem = Problem(Code.KEY_REVOKED, "the key of this connection is no longer good")
                session.end(CloseCode.UNAUTHENTICATED, problem)


class Pulse:
    """Pings one client and knows when it has said nothing for too long."""

    __slots__ = ("_drop_after_s", "_heard_s", "_ping", "_ping_s", "_pinged_s")

    def __init__(
        self,
        settings: StreamSettings,
        now_s: float,
        ping: Callable[[], None],
    ) -> None:
        self._ping_s = settings.ping_s
        self._drop_after_s = settings.drop_after_s
        self._ping = ping
        self._heard_s = now_s
        self._pinged_s = now_s

    def heard(self, now_s: float) -> None:
        self._heard_s = now_s

    def is_over(self, now_s: float) -> bool:
        return now_s - self._heard_s > self._drop_after_s

    def beat(self, now_s: float) -> None:
        if now_s - self._pinged_s >= self._ping_s:
            self._pinged_s = now_s
            self._ping()
