"""One client of the stream: what it said, what it listens to, and how it leaves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from teleglas_gateway.domain.commands import (
    Auth,
    Command,
    CommandError,
    Ping,
    RequestId,
    Subscribe,
    Unsubscribe,
    parse_command,
)
from teleglas_gateway.domain.frames import close_frame
from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.domain.numbers import iso_ms
from teleglas_gateway.domain.positions import SubjectKey
from teleglas_gateway.domain.problems import CloseCode, Code, Problem
from teleglas_gateway.stream.context import StreamContext
from teleglas_gateway.stream.outbox import Outbox, Skip
from teleglas_gateway.stream.subscriptions import Subscriptions
from teleglas_gateway.stream.wire import Wire, control_frame

__all__ = ["Link", "Session"]

_LOG = structlog.get_logger(__name__)
INBOX_LIMIT = 32
"""Commands that may wait before the socket is no longer read."""


class Link(Protocol):
    """The socket below a session."""

    def writer(self) -> Callable[[bytes], object]:
        """What writes frames, as directly as can be."""

    def finish(self, last: bytes) -> None:
        """Write a last frame and close, by force if the client does not take it in time."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Session:
    """Obeys commands one after the other. Closing names the reason, in words and by code."""

    def __init__(self, context: StreamContext, wire: Wire, link: Link, now_s: float) -> None:
        self._context = context
        self._link = link
        self._inbox: deque[bytes] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._heartbeats = 0
        self.wire = wire
        self.grant: Grant | None = None
        self.opened_s = now_s
        self.outbox = Outbox(link.writer(), context.settings.outbox, self)
        self.subscriptions = Subscriptions(context, wire, self.outbox, self.fail)

    @property
    def is_open(self) -> bool:
        return not self.outbox.closed

    def start(self, authorization: str | None) -> None:
        """A key in the handshake's Authorization header saves the ticket."""
        if authorization is not None:
            self._worker = asyncio.create_task(self._begin_with_key(authorization))

    def receive(self, text: bytes) -> None:
        self._inbox.append(text)
        if len(self._inbox) >= INBOX_LIMIT:
            self._link.pause_reading()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    def tell(self, message: dict[str, object]) -> None:
        self.outbox.push_control(control_frame(message))

    def heartbeat(self, now_ns: int) -> None:
        """One a second while nothing else goes out, counted so that a lost one shows."""
        is_idle = self.outbox.idle and not self.subscriptions.is_active
        if is_idle and self.grant is not None:
            self._heartbeats += 1
            beat = {"type": "heartbeat", "counter": self._heartbeats, "timestamp": iso_ms(now_ns)}
            self.outbox.push_fleeting(control_frame(beat))
        self.outbox.idle = True

    def warn(self, waiting_bytes: int) -> bytes:
        limit = self._context.settings.outbox.max_bytes
        detail = f"{waiting_bytes} bytes wait, at {limit} this connection is closed"
        return control_frame({"type": "notice", "code": Code.SLOW_READER.slug, "detail": detail})

    def caught_up(self, skipped: dict[SubjectKey, Skip]) -> None:
        self.subscriptions.make_good(skipped)

    def overflow(self, undelivered: dict[SubjectKey, int | None]) -> None:
        self.end(
            CloseCode.SLOW_READER,
            Problem(Code.SLOW_READER, "more waits for this connection than may"),
            undelivered,
        )

    def fail(self) -> None:
        """A fault of ours, which was logged."""
        problem = Problem(Code.INTERNAL, "the fault is ours and was logged")
        self.end(CloseCode.INTERNAL, problem)

    def end(
        self,
        close_code: int,
        problem: Problem,
        undelivered: dict[SubjectKey, int | None] | None = None,
    ) -> None:
        """Say why and where to resume, then close."""
        if not self.is_open:
            return
        self._context.watcher.closed(problem.code.slug)
        missing = self.outbox.undelivered() if undelivered is None else undelivered
        notice = control_frame(
            {
                "type": "closing",
                "code": problem.code.slug,
                "detail": problem.detail,
                "close_code": close_code,
                "retry_after_s": problem.retry_after_s,
                "resume": self.subscriptions.token(missing),
            }
        )
        self.gone()
        self._link.finish(notice + close_frame(close_code, problem.code.slug))

    def gone(self) -> None:
        """The socket is closed or about to be: let go of everything."""
        if not self.is_open:
            return
        self.outbox.close()
        self.subscriptions.close()
        self._inbox.clear()
        if self._worker is not None and self._worker is not asyncio.current_task():
            self._worker.cancel()

    async def _begin_with_key(self, authorization: str) -> None:
        try:
            await self._admit(await self._context.access.by_header(authorization), None)
        except Problem as problem:
            self.end(CloseCode.UNAUTHENTICATED, problem)
            return
        await self._work()

    async def _work(self) -> None:
        while self._inbox and self.is_open:
            text = self._inbox.popleft()
            if not self._inbox:
                self._link.resume_reading()
            try:
                await self._obey(parse_command(text))
            except CommandError as problem:
                self._refuse(problem, problem.req_id)
            except Exception:  # noqa: BLE001  # one client's fault must not be silent nor spread
                _LOG.exception("command_failed")
                self.fail()
        self._worker = None

    async def _obey(self, command: Command) -> None:
        try:
            match command.params:
                case Auth(ticket=ticket):
                    await self._authenticate(ticket, command.req_id)
                case Ping():
                    self.tell({"type": "pong", "req_id": command.req_id})
                case Subscribe() as params:
                    self._require("subscribe")
                    await self.subscriptions.subscribe(params, command.req_id)
                case Unsubscribe() as params:
                    self._require("unsubscribe")
                    self.subscriptions.unsubscribe(params, command.req_id)
        except Problem as problem:
            self._refuse(problem, command.req_id)

    async def _authenticate(self, ticket: str, req_id: RequestId) -> None:
        if self.grant is not None:
            raise Problem(Code.VALIDATION_FAILED, "expected one auth a connection")
        grant = await self._context.access.by_ticket(ticket)
        if grant is None:
            problem = Problem(Code.INVALID_TICKET, "expected a fresh ticket of this service")
            self.end(CloseCode.UNAUTHENTICATED, problem)
            return
        await self._admit(grant, req_id)

    async def _admit(self, grant: Grant, req_id: RequestId) -> None:
        try:
            self._context.authorizer.check(grant, Scope.STREAM_READ, "the stream")
            self._context.admission.admit(self, grant)
        except Problem as problem:
            limited = problem.code is Code.CONNECTION_LIMIT
            self.end(CloseCode.LIMIT if limited else CloseCode.FORBIDDEN, problem)
            return
        self.grant = grant
        self.tell({"type": "authenticated", "req_id": req_id})

    def _require(self, method: str) -> None:
        if self.grant is None:
            raise Problem(Code.UNAUTHENTICATED, f"expected auth before {method}")

    def _refuse(self, problem: Problem, req_id: RequestId) -> None:
        self._context.watcher.refused(problem.code.slug)
        self.tell(
            {
                "type": "error",
                "req_id": req_id,
                "code": problem.code.slug,
                "detail": problem.detail,
            }
        )
