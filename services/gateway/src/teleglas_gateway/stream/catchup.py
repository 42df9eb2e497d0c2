"""Resume: gives a client what it missed, in order, and joins it to the live stream. What memory no
longer holds comes from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import Bus, BusError, PoisonError, Record, TopicPartition
from teleglas_gateway.channels.base import Policy
from teleglas_gateway.domain.positions import Position, SubjectKey, offset_of
from teleglas_gateway.stream.begins import Begins
from teleglas_gateway.stream.hub import Hub
from teleglas_gateway.stream.sequence import Event, PartitionLog
from teleglas_gateway.stream.subject import Subject

__all__ = ["CatchUp", "CatchUpLimits", "Listener"]

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CatchUpLimits:
    """Further than `max_records` behind, or after `timeout_s`, a client starts anew; so it does if
    the log is away at the last try: each of `back_offs_s` is followed by one more.
    """

    max_records: int = 200_000
    max_concurrent: int = 4
    max_waiting: int = 256
    timeout_s: float = 60.0
    back_offs_s: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)


class Listener(Protocol):
    """One client that resumes."""

    @property
    def is_open(self) -> bool: ...

    async def replay(self, event: Event) -> None:
        """Take a message of the past; wait while the socket is full."""

    def join(self, subject: Subject, last_seq: int) -> None:
        """Everything up to `last_seq` was replayed: go live. Must not wait."""

    def start_anew(self, subject: Subject, reason: str) -> None:
        """The past cannot be had: say `recovered: false`, give a snapshot and go live."""

    def fail(self) -> None:
        """A fault of ours: close, and say where to resume."""


@dataclass(slots=True)
class _Want:
    """What one client misses of one subject. `chained`: the position was found in the log."""

    subject: Subject
    last_seq: int
    chained: bool = False


@dataclass(slots=True)
class _Replay:
    partition: TopicPartition
    log: PartitionLog
    next_offset: int
    wants: dict[SubjectKey, _Want] = field(default_factory=dict)

    def lose(self) -> None:
        """Records went before they could be read: what was replayed chains to nothing."""
        for want in self.wants.values():
            want.chained = False


class CatchUp:
    """Serves resumes from memory, and those further back a few at a time, each with a reader of
    the log of its own: `on_log` hears of them.
    """

    def __init__(
        self, bus: Bus, hub: Hub, limits: CatchUpLimits, *, on_log: Callable[[], None]
    ) -> None:
        self._bus = bus
        self._on_log = on_log
        self._begins = Begins(bus)
        self._hub = hub
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.max_concurrent)
        self._waiting = 0

    async def refusal(self, subject: Subject, position: Position) -> str | None:
        """Why a position cannot be resumed from; None if it can, as far as is known beforehand."""
        if subject.channel.policy is not Policy.LOSSLESS:
            return "channel_conflates"
        if position.epoch != subject.log.epoch:
            return "other_epoch"
        partition = self._hub.partition(subject.key)
        offset, live = offset_of(position.seq), self._hub.positions[partition]
        if offset >= live:
            return "unknown_position"
        if self._hub.missed(subject.key, position.seq) is not None:
            return None
        if live - offset > self._limits.max_records:
            return "too_far_behind"
        try:
            begins = await self._begins.of(partition.topic)
        except BusError as error:
            _LOG.warning("catch_up_refused", error=str(error), subject=str(subject.key))
            return "unavailable"
        return "no_longer_kept" if offset < begins[partition] else None

    async def run(self, listener: Listener, wants: Mapping[Subject, Position]) -> None:
        """Replay and join every subject, or start it anew: never leave one unanswered."""
        open_wants = {
            subject.key: _Want(subject, position.seq) for subject, position in wants.items()
        }
        try:
            reason = await self._catch_up(listener, open_wants)
            for want in open_wants.values() if reason else ():
                listener.start_anew(want.subject, reason)
        except Exception:  # noqa: BLE001  # a client that waits for its past must hear of a fault
            _LOG.exception("catch_up_failed", subjects=len(open_wants))
            listener.fail()

    async def _catch_up(self, listener: Listener, open_wants: dict[SubjectKey, _Want]) -> str:
        """Why the wants that are left cannot be met, or nothing."""
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                for want in list(open_wants.values()):
                    await self._remember(listener, want, open_wants)
                if not (open_wants and listener.is_open):
                    return ""
                if self._waiting >= self._limits.max_waiting:
                    return "busy"
                self._waiting += 1
                try:
                    return await self._read_log(listener, open_wants)
                finally:
                    self._waiting -= 1
        except TimeoutError:
            return "too_slow"

    async def _remember(
        self, listener: Listener, want: _Want, open_wants: dict[SubjectKey, _Want]
    ) -> None:
        """Replay from memory and join; what memory cannot tell stays open."""
        key = want.subject.key
        while listener.is_open and (missed := self._hub.missed(key, want.last_seq)) is not None:
            if not missed:
                # nothing pauses between what was missed and the join
                del open_wants[key]
                listener.join(want.subject, want.last_seq)
                return
            for event in missed:
                await listener.replay(event)
                want.last_seq = event.seq or want.last_seq
            await asyncio.sleep(0)

    async def _read_log(self, listener: Listener, open_wants: dict[SubjectKey, _Want]) -> str:
        self._on_log()
        for back_off_s in self._limits.back_offs_s:
            if await self._try(listener, open_wants):
                return ""
            await asyncio.sleep(back_off_s)
        return "" if await self._try(listener, open_wants) else "unavailable"

    async def _try(self, listener: Listener, open_wants: dict[SubjectKey, _Want]) -> bool:
        """Whether nothing is left to be done; what was replayed is not replayed again."""
        async with self._slots:
            try:
                await self._replay_all(listener, open_wants)
            except BusError as error:
                _LOG.warning("catch_up_interrupted", error=str(error), subjects=len(open_wants))
        return not (open_wants and listener.is_open)

    async def _replay_all(self, listener: Listener, open_wants: dict[SubjectKey, _Want]) -> None:
        replays = await self._plan(open_wants)
        reader = self._bus.reader({part: replay.next_offset for part, replay in replays.items()})
        await reader.start()
        try:
            while replays and listener.is_open:
                polled = await reader.poll(max_records=1000, timeout_s=0.2)
                for partition, records in polled.items():
                    replay = replays.get(partition)
                    if replay is not None:
                        await self._feed(listener, replay, records)
                        self._try_join(listener, replay, replays, open_wants)
                for replay in list(replays.values()):
                    self._try_join(listener, replay, replays, open_wants)
        finally:
            await reader.stop()

    async def _plan(self, open_wants: Mapping[SubjectKey, _Want]) -> dict[TopicPartition, _Replay]:
        replays: dict[TopicPartition, _Replay] = {}
        for key, want in open_wants.items():
            partition = self._hub.partition(key)
            begins = await self._begins.of(partition.topic)
            # as far back as the hub began, so that it knows the same repeats and replaced writers
            lookback = want.subject.channel.lookback
            start = max(begins[partition], offset_of(want.last_seq) - lookback)
            replay = replays.get(partition)
            if replay is None:
                log = PartitionLog(want.subject.channel, want.subject.log.epoch)
                replay = replays[partition] = _Replay(partition, log, start)
            replay.next_offset = min(replay.next_offset, start)
            replay.wants[key] = want
            want.chained = False
        return replays

    async def _feed(self, listener: Listener, replay: _Replay, records: Sequence[Record]) -> None:
        for record in records:
            if record.offset >= self._hub.positions[replay.partition]:
                # everything before it was read, and nothing pauses between here and the join
                replay.next_offset = record.offset
                return
            if record.offset > replay.next_offset:
                replay.lose()
            for event in _events(replay.log, record):
                await self._offer(listener, replay, event)
            replay.next_offset = record.offset + 1

    async def _offer(self, listener: Listener, replay: _Replay, event: Event) -> None:
        want = replay.wants.get(event.subject)
        if want is None or event.seq is None or event.seq < want.last_seq:
            return
        if event.seq == want.last_seq:
            want.chained = True
        elif want.chained:
            await listener.replay(event)
            want.last_seq = event.seq

    def _try_join(
        self,
        listener: Listener,
        replay: _Replay,
        replays: dict[TopicPartition, _Replay],
        open_wants: dict[SubjectKey, _Want],
    ) -> None:
        """Go live if nothing lies between the replay and the hub."""
        if replay.next_offset < self._hub.positions[replay.partition]:
            return
        del replays[replay.partition]
        for key, want in replay.wants.items():
            del open_wants[key]
            if want.chained:
                listener.join(want.subject, want.last_seq)
            else:
                listener.start_anew(want.subject, "unknown_position")


def _events(log: PartitionLog, record: Record) -> list[Event]:
    try:
        return log.read(record.offset, decode(record))
    except PoisonError:
        # the hub has counted it; it has no messages
        return []
