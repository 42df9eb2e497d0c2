"""What one client listens to, and how each subject gets from wanted to live."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from teleglas_gateway.channels.base import Policy
from teleglas_gateway.domain.commands import RequestId, Subscribe, Unsubscribe
from teleglas_gateway.domain.positions import (
    InvalidTokenError,
    Position,
    SubjectKey,
    checked_positions,
    decode_token,
    encode_token,
)
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.stream.conflate import ConflateGroup
from teleglas_gateway.stream.context import StreamContext
from teleglas_gateway.stream.expand import Expansion, expand
from teleglas_gateway.stream.outbox import Outbox, Skip
from teleglas_gateway.stream.sequence import Event
from teleglas_gateway.stream.subject import Subject
from teleglas_gateway.stream.wire import Wire, control_frame

__all__ = ["Subscriptions"]


@dataclass(slots=True, eq=False)
class _Held:
    """One subscription. `replayed` is how far a resume has come; None once it is over."""

    subject: Subject
    group: ConflateGroup | None = None
    replayed: Position | None = None
    live: bool = False


class Subscriptions:
    """Answers commands first, then snapshots, then live messages: in that order for each subject.

    Snapshots go out only as fast as the socket takes them, so a thousand of them fill no queue.
    """

    def __init__(
        self, context: StreamContext, wire: Wire, outbox: Outbox, fail: Callable[[], None]
    ) -> None:
        self._context = context
        self._wire = wire
        self._outbox = outbox
        self.fail = fail
        self._held: dict[SubjectKey, _Held] = {}
        self._joining: deque[_Held] = deque()
        self._catch_ups: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def is_open(self) -> bool:
        return not self._outbox.closed

    @property
    def is_active(self) -> bool:
        """Something was written since `Hub.rest`."""
        return any(held.live and held.subject.is_active for held in self._held.values())

    async def subscribe(self, params: Subscribe, req_id: RequestId) -> None:
        expansion = expand(params, self._context.catalogue)
        if params.conflate_ms is not None and expansion.channel.policy is not Policy.LATEST:
            raise Problem(
                Code.CONFLATION_UNSUPPORTED,
                f"expected no conflate_ms on {expansion.channel.name}, it never drops a message",
            )
        positions = _positions(params)
        self._limit(expansion)
        refusals = await self._refusals(expansion, positions)
        if not self.is_open:
            return
        self._answer("subscribed", req_id, expansion, refusals)
        wants = {}
        for key in expansion.subjects:
            held = self._hold(key)
            if key not in refusals:
                self._begin(held, params)
            elif (reason := refusals[key]) is not None:
                self.start_anew(held, reason)
            else:
                held.replayed = positions[key]
                wants[held] = positions[key]
        if wants:
            resume = _Resume(self, {held.subject.key: held for held in wants})
            missed = {held.subject: position for held, position in wants.items()}
            task = asyncio.create_task(self._context.catch_up.run(resume, missed))
            self._catch_ups.add(task)
            task.add_done_callback(self._catch_ups.discard)

    def unsubscribe(self, params: Unsubscribe, req_id: RequestId) -> None:
        expansion = expand(params, self._context.catalogue)
        for key in list(expansion.subjects):
            if key in self._held:
                self._release(key)
            else:
                expansion.subjects.remove(key)
                problem = Problem(Code.NOT_SUBSCRIBED, f"expected a subscription, was {key}")
                expansion.refuse(key.instrument, problem)
        self._answer("unsubscribed", req_id, expansion, {})

    def holds(self, held: _Held) -> bool:
        return self._held.get(held.subject.key) is held

    async def replay(self, held: _Held, event: Event) -> None:
        frame = event.frame(self._wire)
        await self._outbox.wait_writable()
        if not self.holds(held) or event.seq is None:
            return
        if frame is not None:
            self._outbox.push(frame, event.run)
        held.replayed = Position(event.epoch, event.seq)

    def join(self, held: _Held, last_seq: int) -> None:
        held.replayed = None
        self._resumed(held.subject, recovered=True, reason="", seq=last_seq)
        self._attach(held)

    def start_anew(self, held: _Held, reason: str) -> None:
        held.replayed = None
        self._resumed(held.subject, recovered=False, reason=reason, seq=held.subject.last_seq)
        self._joining.append(held)
        self._join_waiting()

    def make_good(self, skipped: Mapping[SubjectKey, Skip]) -> None:
        """The socket takes bytes again: name what was left out and give the newest state."""
        for key, skip in skipped.items():
            held = self._held.get(key)
            if held is None:
                continue
            if not self._outbox.writable:
                self._outbox.skip_again(key, skip)
                continue
            notice = {
                "type": "skipped",
                "channel": key.channel,
                **self._wire.names(key),
                "after_seq": skip.after_seq,
                "to_seq": skip.to_seq,
                "epoch": held.subject.log.epoch,
            }
            snapshot = held.subject.snapshot(self._wire, self._context.now_ns())
            self._outbox.push_control(control_frame(notice) + snapshot)
            self._context.watcher.skipped(key.channel, skip.messages)
        self._join_waiting()

    def token(self, undelivered: Mapping[SubjectKey, int | None]) -> str | None:
        """Where each lossless subscription stands, for another connection to go on from."""
        positions = {}
        for key, held in self._held.items():
            if held.subject.channel.policy is not Policy.LOSSLESS:
                continue
            reached = held.subject.last_seq if held.live else None
            if held.replayed is not None:
                reached = held.replayed.seq
            last = undelivered.get(key, reached)
            if last is not None:
                positions[key] = Position(held.subject.log.epoch, last)
        return encode_token(positions) if positions else None

    def close(self) -> None:
        for key in list(self._held):
            self._release(key)
        for task in self._catch_ups:
            task.cancel()

    def _limit(self, expansion: Expansion) -> None:
        room = self._context.settings.max_subscriptions - len(self._held)
        fresh = [key for key in expansion.subjects if key not in self._held]
        problem = Problem(
            Code.SUBSCRIPTION_LIMIT,
            f"expected at most {self._context.settings.max_subscriptions} on one connection",
        )
        for key in fresh[max(0, room) :]:
            expansion.subjects.remove(key)
            expansion.refuse(key.instrument, problem)

    async def _refusals(
        self, expansion: Expansion, positions: Mapping[SubjectKey, Position]
    ) -> dict[SubjectKey, str | None]:
        """Of each subject that is to be resumed: why it cannot be, or None."""
        refusals = {}
        for key in expansion.subjects:
            if key in positions:
                subject = self._context.hub.subject(key)
                refusals[key] = await self._context.catch_up.refusal(subject, positions[key])
        return refusals

    def _answer(
        self,
        answer: str,
        req_id: RequestId,
        expansion: Expansion,
        refusals: Mapping[SubjectKey, str | None],
    ) -> None:
        rows = []
        for key in expansion.subjects:
            row = self._wire.names(key)
            if key in refusals:
                row["recovered"] = refusals[key] is None
            rows.append(row)
        message = {
            "type": answer,
            "req_id": req_id,
            "channel": expansion.channel.name,
            "subscriptions": rows,
            "errors": expansion.errors,
        }
        self._outbox.push_control(control_frame(message))

    def _hold(self, key: SubjectKey) -> _Held:
        if key in self._held:
            self._release(key)
        held = self._held[key] = _Held(self._context.hub.subject(key))
        self._context.watcher.subscriptions(key.channel, 1)
        return held

    def _begin(self, held: _Held, params: Subscribe) -> None:
        if params.conflate_ms is not None:
            held.group = self._context.conflator.join(
                self._wire, params.conflate_ms, held.subject, self._outbox
            )
            if params.snapshot:
                frame = held.subject.snapshot(self._wire, self._context.now_ns())
                self._outbox.push_control(frame)
        elif params.snapshot:
            self._joining.append(held)
            self._join_waiting()
        else:
            self._attach(held)

    def _attach(self, held: _Held) -> None:
        held.live = True
        held.subject.attach(self._wire, self._outbox)

    def _join_waiting(self) -> None:
        while self._joining and self._outbox.writable:
            held = self._joining.popleft()
            if self.holds(held):
                snapshot = held.subject.snapshot(self._wire, self._context.now_ns())
                self._outbox.push_control(snapshot)
                self._attach(held)

    def _release(self, key: SubjectKey) -> None:
        held = self._held.pop(key)
        self._context.watcher.subscriptions(key.channel, -1)
        held.subject.detach(self._wire, self._outbox)
        if held.group is not None:
            held.group.remove(held.subject, self._outbox)
        self._outbox.forget(key)

    def _resumed(self, subject: Subject, *, recovered: bool, reason: str, seq: int | None) -> None:
        self._context.watcher.resumed(recovered, reason)
        message: dict[str, object] = {
            "type": "resumed",
            "channel": subject.channel.name,
            **self._wire.names(subject.key),
            "recovered": recovered,
            "seq": seq,
            "epoch": subject.log.epoch,
        }
        if reason:
            message["reason"] = reason
        self._outbox.push_control(control_frame(message))


class _Resume:
    """The listener of one catch-up: deaf for subjects that were given up or asked for anew."""

    def __init__(self, owner: Subscriptions, held: Mapping[SubjectKey, _Held]) -> None:
        self._owner = owner
        self._held = held

    @property
    def is_open(self) -> bool:
        return self._owner.is_open

    async def replay(self, event: Event) -> None:
        held = self._held[event.subject]
        if self._owner.holds(held):
            await self._owner.replay(held, event)

    def join(self, subject: Subject, last_seq: int) -> None:
        held = self._held[subject.key]
        if self._owner.holds(held):
            self._owner.join(held, last_seq)

    def start_anew(self, subject: Subject, reason: str) -> None:
        held = self._held[subject.key]
        if self._owner.holds(held):
            self._owner.start_anew(held, reason)

    def fail(self) -> None:
        self._owner.fail()


def _positions(params: Subscribe) -> dict[SubjectKey, Position]:
    try:
        if isinstance(params.resume, str):
            return decode_token(params.resume)
        return checked_positions(params.resume or {})
    except InvalidTokenError as error:
        raise Problem(Code.INVALID_TOKEN, str(error)) from error
