"""Misbehaviour on request: which frames, subscriptions and answers go wrong, and for how long."""

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

__all__ = ["Fault", "FaultBoard", "FaultKind"]

HELD_FRAMES_LIMIT = 20_000


class FaultKind(StrEnum):
    """What goes wrong. `silence` acts on subscriptions made while it lasts: acknowledged, never
    served.
    """

    DROP = "drop"
    REPEAT = "repeat"
    REORDER = "reorder"
    STALL = "stall"
    CHECKSUM = "checksum"
    GARBLE = "garble"
    SILENCE = "silence"
    DISCONNECT = "disconnect"
    REST = "rest"


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One order to misbehave.

    `match` is a shell pattern over stream names (`*@trade`, `books:BTC-*`) or, for `rest`,
    over paths. It ends after `count` hits or `duration_s` seconds, whichever comes first; one
    of them is required. `every` hits each n-th matching frame only. `status` is the HTTP
    status of `rest`.
    """

    kind: FaultKind
    match: str = "*"
    count: int | None = None
    duration_s: float | None = None
    every: int = 1
    status: int = 500
    retry_after_s: int = 1

    def __post_init__(self) -> None:
        if self.count is None and self.duration_s is None and self.kind is not FaultKind.DISCONNECT:
            raise ValueError(f"expected count or duration_s for a {self.kind} fault, got neither")
        if self.kind is FaultKind.STALL and self.duration_s is None:
            raise ValueError("expected duration_s for a stall, got none")
        if self.every < 1 or (self.count is not None and self.count < 1):
            raise ValueError(
                f"expected every and count of at least 1, got {self.every}, {self.count}"
            )


class _Active:
    __slots__ = ("fault", "held", "hits", "seen", "until_s")

    def __init__(self, fault: Fault, until_s: float) -> None:
        self.fault = fault
        self.until_s = until_s
        self.hits = 0
        self.seen = 0
        self.held: deque[tuple[str, bytes]] = deque()

    def over(self, now_s: float) -> bool:
        fault = self.fault
        return now_s >= self.until_s or (fault.count is not None and self.hits >= fault.count)

    def strikes(self) -> bool:
        self.seen += 1
        if self.seen % self.fault.every:
            return False
        self.hits += 1
        return True


class FaultBoard:
    """The faults in force. `clock_s` is monotonic seconds; nothing here waits by itself.

    A stalled or reordered frame comes out with a later call: feeds call `due()` now and then
    (the simulator each tick).
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._active: list[_Active] = []
        self._due: list[tuple[str, bytes]] = []
        self.hits: dict[FaultKind, int] = dict.fromkeys(FaultKind, 0)
        self.overflowed = 0

    @property
    def quiet(self) -> bool:
        """True when no fault is in force and nothing is held back: the hot path checks this
        alone.
        """
        return not self._active and not self._due

    def add(self, fault: Fault) -> None:
        """Put a fault in force now."""
        end = float("inf") if fault.duration_s is None else self._clock_s() + fault.duration_s
        self._active.append(_Active(fault, end))

    def clear(self) -> None:
        """Lift every fault; held frames come out with the next `due()`."""
        for active in self._active:
            self._due.extend(active.held)
        self._active.clear()

    def apply(self, stream: str, payload: bytes) -> list[tuple[str, bytes]]:
        """The frames that leave in place of this one, in order."""
        self._expire()
        frames = [*self._take_due(), (stream, payload)]
        for active in self._active:
            if active.fault.kind in _FRAME_FAULTS:
                frames = [out for frame in frames for out in self._pass(active, *frame)]
        return frames

    def due(self) -> list[tuple[str, bytes]]:
        """Held frames whose fault is over."""
        self._expire()
        return self._take_due()

    def silences(self, stream: str) -> bool:
        """True when a subscription to `stream` made now is to be acknowledged and never served."""
        return self._strike(FaultKind.SILENCE, stream) is not None

    def rest_fault(self, path: str) -> Fault | None:
        """The fault that answers this REST call, if any."""
        return self._strike(FaultKind.REST, path)

    def _strike(self, kind: FaultKind, name: str) -> Fault | None:
        self._expire()
        for active in self._active:
            fault = active.fault
            if fault.kind is kind and fnmatchcase(name, fault.match) and active.strikes():
                self.hits[kind] += 1
                return fault
        return None

    def _pass(self, active: _Active, stream: str, payload: bytes) -> list[tuple[str, bytes]]:
        fault = active.fault
        same = [(stream, payload)]
        if not fnmatchcase(stream, fault.match):
            return same
        if fault.kind is FaultKind.REORDER and active.held and active.held[0][0] == stream:
            return [*same, active.held.popleft()]
        if active.over(self._clock_s()) or not active.strikes():
            return same
        self.hits[fault.kind] += 1
        match fault.kind:
            case FaultKind.DROP:
                return []
            case FaultKind.REPEAT:
                return [*same, *same]
            case FaultKind.CHECKSUM:
                return [(stream, _spoil_checksum(payload))]
            case FaultKind.GARBLE:
                return [(stream, payload[: len(payload) // 2])]
            case FaultKind.STALL | FaultKind.REORDER:
                self._hold(active, stream, payload)
                return []
        return same

    def _hold(self, active: _Active, stream: str, payload: bytes) -> None:
        if len(active.held) >= HELD_FRAMES_LIMIT:
            active.held.popleft()
            self.overflowed += 1
        active.held.append((stream, payload))

    def _expire(self) -> None:
        if not self._active:
            return
        now_s = self._clock_s()
        kept: list[_Active] = []
        for active in self._active:
            stays = bool(active.held) or not active.over(now_s)
            if now_s < active.until_s and stays:
                kept.append(active)
            else:
                self._due.extend(active.held)
        self._active = kept

    def _take_due(self) -> list[tuple[str, bytes]]:
        due, self._due = self._due, []
        return due


_FRAME_FAULTS = frozenset(FaultKind) - {FaultKind.SILENCE, FaultKind.DISCONNECT, FaultKind.REST}
_MARK = b'"checksum":'


def _spoil_checksum(payload: bytes) -> bytes:
    """Replace an OKX checksum by a wrong one that is not 0; other payloads pass unchanged."""
    start = payload.find(_MARK)
    if start < 0:
        return payload
    start += len(_MARK)
    end = start
    while payload[end : end + 1] in b"-0123456789":
        end += 1
    wrong = (int(payload[start:end]) ^ 0x5A5A5A5A) or 1
    return b"%b%d%b" % (payload[:start], wrong, payload[end:])
