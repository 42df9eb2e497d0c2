"""Back-off for everything that is tried again: exponential, jittered, with an end."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from teleglas_common.clock import Clock, SystemClock

__all__ = ["Backoff", "retry"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between `tries` attempts: doubled from `first_s` up to `max_s`, with full jitter."""

    tries: int = 5
    first_s: float = 0.1
    max_s: float = 5.0

    def wait_s(self, failures: int, jitter: float) -> float:
        """The wait after so many failures; `jitter` is in [0, 1)."""
        return min(self.max_s, self.first_s * 2.0 ** (failures - 1)) * jitter


async def retry(
    attempt: Callable[[], Awaitable[T]],
    on: type[Exception] | tuple[type[Exception], ...],
    *,
    backoff: Backoff | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> T:
    """Run `attempt` until it succeeds; raise the last error of `on`, or at once any other."""
    policy, time, chance = backoff or Backoff(), clock or SystemClock(), rng or random.Random()
    failures = 0
    while True:
        try:
            return await attempt()
        except on:
            failures += 1
            if failures >= policy.tries:
                raise
        await time.sleep(policy.wait_s(failures, chance.random()))
