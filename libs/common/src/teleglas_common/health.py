"""Liveness and readiness that mean it.

Live: the process can still do its work, or a restart would not help. Ready: it can serve now; every
named check passes within its timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from teleglas_common.clock import Clock, SystemClock

__all__ = ["Check", "Health", "Report", "State"]

Check = Callable[[], Awaitable[str | None]]
"""None when all is well, else what is wrong, in words."""


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """What a probe is told."""

    ok: bool
    state: State
    reasons: dict[str, str]

    def as_dict(self) -> dict[str, object]:
        return {"ok": self.ok, "state": self.state.value, "reasons": self.reasons}


@dataclass(slots=True)
class Health:
    """The state of one process and its named checks; answers are kept for `cache_s`."""

    clock: Clock = field(default_factory=SystemClock)
    timeout_s: float = 2.0
    cache_s: float = 1.0
    state: State = State.STARTING
    cause: str = ""
    _checks: dict[str, Check] = field(default_factory=dict)
    _kept: tuple[float, dict[str, str]] | None = None

    def add(self, name: str, check: Check) -> None:
        """Readiness depends on this from now on."""
        self._checks[name] = check

    def ready(self) -> None:
        self.state = State.READY

    def draining(self) -> None:
        self.state = State.DRAINING

    def failed(self, cause: str) -> None:
        self.state, self.cause = State.FAILED, cause

    def liveness(self) -> Report:
        """Dead only when a part broke for good."""
        failed = self.state is State.FAILED
        return Report(not failed, self.state, {"process": self.cause} if failed else {})

    async def readiness(self) -> Report:
        """Ready when started, not draining and every check passes."""
        if self.state is not State.READY:
            return Report(False, self.state, {"process": self.cause or f"is {self.state.value}"})
        reasons = await self._reasons()
        return Report(not reasons, self.state, reasons)

    async def _reasons(self) -> dict[str, str]:
        now_s = self.clock.monotonic_s()
        if self._kept is not None and now_s - self._kept[0] < self.cache_s:
            return self._kept[1]
        names = list(self._checks)
        answers = await asyncio.gather(*(self._ask(name) for name in names))
        reasons = {name: text for name, text in zip(names, answers, strict=True) if text}
        self._kept = (now_s, reasons)
        return reasons

    async def _ask(self, name: str) -> str | None:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._checks[name]()
        except TimeoutError:
            return f"no answer within {self.timeout_s:g} s"
        except Exception as error:  # noqa: BLE001  any fault is an answer here
            return f"{type(error).__name__}: {error}"
