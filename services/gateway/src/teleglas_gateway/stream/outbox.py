"""What waits for one client: bounded in bytes, with a stated loss for whoever reads too slowly."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from teleglas_gateway.channels.base import Policy
from teleglas_gateway.domain.positions import SubjectKey

__all__ = ["Audience", "Outbox", "OutboxEvents", "OutboxLimits", "Run", "Skip", "WriteTransport"]


class WriteTransport(Protocol):
    def write(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """`max_bytes` may wait behind a full socket; `warn_bytes` of them bring a warning."""

    max_bytes: int = 1 << 20
    warn_bytes: int = 1 << 19


@dataclass(slots=True)
class Skip:
    """Messages of one subject that made way for its newest state."""

    after_seq: int | None
    to_seq: int | None
    messages: int = 1


class Run(NamedTuple):
    """Messages of one subject that follow one another; they are written as one."""

    policy: Policy
    subject: SubjectKey
    after_seq: int | None
    to_seq: int | None
    messages: int = 1


class OutboxEvents(Protocol):
    """Who owns the outbox."""

    def warn(self, waiting_bytes: int) -> bytes:
        """A notice for a client that is about to be cut off."""

    def caught_up(self, skipped: dict[SubjectKey, Skip]) -> None:
        """The socket takes bytes again and nothing waits; `skipped` is to be made good."""

    def overflow(self, undelivered: dict[SubjectKey, int | None]) -> None:
        """More waits than may: close. Of each subject here, the last seq that was written."""


class Audience:
    """Who hears the same bytes. Those whose socket takes them are kept as their bare `write`, apart
    from those that wait: a message for a thousand sockets then touches no object of ours for each.
    """

    __slots__ = ("_waiting", "_writes")

    def __init__(self) -> None:
        self._writes: dict[Outbox, Callable[[bytes], object]] = {}
        self._waiting: dict[Outbox, None] = {}

    def __len__(self) -> int:
        return len(self._writes) + len(self._waiting)

    def __iter__(self) -> Iterator[Outbox]:
        yield from self._writes
        yield from self._waiting

    def add(self, outbox: Outbox) -> None:
        outbox.audiences[self] = None
        if outbox.writable:
            self._writes[outbox] = outbox.write
        else:
            self._waiting[outbox] = None

    def remove(self, outbox: Outbox) -> None:
        outbox.audiences.pop(self, None)
        self._writes.pop(outbox, None)
        self._waiting.pop(outbox, None)

    def part(self, outbox: Outbox) -> None:
        self._writes.pop(outbox, None)
        self._waiting[outbox] = None

    def rejoin(self, outbox: Outbox) -> None:
        self._waiting.pop(outbox, None)
        self._writes[outbox] = outbox.write

    def write(self, frames: bytes, run: Run | None) -> None:
        """Write to all; for those that wait keep it, unless it may be lost (no `run`)."""
        # copies: a socket that fills up moves over, one that overflows leaves
        writes = list(self._writes.values())
        if run is not None:
            for outbox in list(self._waiting):
                outbox.hold(frames, run)
        for write in writes:
            write(frames)


class Outbox:
    """Writes through while the transport takes it; behind a full socket lossless messages wait and
    states conflate. It never sleeps and never grows beyond its bound.
    """

    __slots__ = (
        *("_backlog", "_backlog_bytes", "_events", "_limits", "_skipped", "_waiters", "_warned"),
        *("audiences", "closed", "idle", "writable", "write"),
    )

    def __init__(
        self, write: Callable[[bytes], object], limits: OutboxLimits, events: OutboxEvents
    ) -> None:
        self.write = write
        self._limits = limits
        self._events = events
        self._backlog: deque[tuple[bytes, Run | None]] = deque()
        self._backlog_bytes = 0
        self._skipped: dict[SubjectKey, Skip] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._warned = False
        self.audiences: dict[Audience, None] = {}
        self.writable = True
        self.closed = False
        self.idle = True

    @property
    def waiting_bytes(self) -> int:
        return self._backlog_bytes

    def push(self, frames: bytes, run: Run) -> None:
        """Live messages."""
        if self.writable:
            self.idle = False
            self.write(frames)
        else:
            self.hold(frames, run)

    def push_control(self, frame: bytes) -> None:
        """An answer or a notice: it waits in line, for it must not be lost."""
        if self.writable:
            self.write(frame)
            self.idle = False
        elif not self.closed:
            self._append(frame, None)

    def push_fleeting(self, frame: bytes) -> None:
        """Something that the next one replaces: gone if the socket is full."""
        if self.writable:
            self.write(frame)
            self.idle = False

    def pause(self) -> None:
        """The socket is full."""
        self.writable = False
        for audience in self.audiences:
            audience.part(self)

    def resume(self) -> None:
        """The transport takes bytes again: what waited goes first, in order."""
        if self.closed:
            return
        self.writable = True
        while self._backlog and self.writable:
            frame, _ = self._backlog.popleft()
            self._backlog_bytes -= len(frame)
            self.write(frame)
        if self._backlog:
            self.writable = False
            return
        if not self.writable:
            return
        self._warned = False
        for audience in self.audiences:
            audience.rejoin(self)
        skipped, self._skipped = self._skipped, {}
        self._events.caught_up(skipped)
        if self.writable:
            self._wake()

    def skip_again(self, subject: SubjectKey, skip: Skip) -> None:
        """Put off what could not be made good because the socket filled up again."""
        known = self._skipped.setdefault(subject, skip)
        known.after_seq = skip.after_seq
        if known is not skip:
            known.messages += skip.messages

    def forget(self, subject: SubjectKey) -> None:
        """The client no longer wants a subject."""
        self._skipped.pop(subject, None)

    async def wait_writable(self) -> None:
        """Return once nothing waits, or the client is gone."""
        if (self.writable and not self._backlog) or self.closed:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def close(self) -> None:
        self.closed = True
        self.writable = False
        self._backlog.clear()
        self._backlog_bytes = 0
        self._skipped.clear()
        self._wake()

    def undelivered(self) -> dict[SubjectKey, int | None]:
        """Of each subject with messages in line: the seq before the first of them."""
        first: dict[SubjectKey, int | None] = {}
        for _, run in self._backlog:
            if run is not None:
                first.setdefault(run.subject, run.after_seq)
        return first

    def hold(self, frames: bytes, run: Run) -> None:
        """Live messages that the socket does not take now."""
        if self.closed:
            return
        if run.policy is Policy.LATEST:
            skip = self._skipped.get(run.subject)
            if skip is None:
                self._skipped[run.subject] = Skip(run.after_seq, run.to_seq, run.messages)
            else:
                skip.to_seq = run.to_seq
                skip.messages += run.messages
            return
        self._append(frames, run)

    def _append(self, frames: bytes, run: Run | None) -> None:
        self._backlog.append((frames, run))
        self._backlog_bytes += len(frames)
        if self._backlog_bytes > self._limits.max_bytes:
            self._events.overflow(self.undelivered())
        elif self._backlog_bytes > self._limits.warn_bytes and not self._warned:
            self._warned = True
            notice = self._events.warn(self._backlog_bytes)
            self._backlog.appendleft((notice, None))
            self._backlog_bytes += len(notice)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
