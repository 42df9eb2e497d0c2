"""The generic cell rate algorithm (ITU-T I.371): a token bucket in one number."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Quota", "Verdict", "decide", "verdict_of"]

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `requests` in a burst, refilled evenly over `window_s`."""

    name: str
    requests: int
    window_s: int

    @property
    def interval_ns(self) -> int:
        return self.window_s * NS_PER_S // self.requests

    def policy_header(self) -> str:
        return f'"{self.name}";q={self.requests};w={self.window_s}'


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a quota says to one request, with what the headers tell the client."""

    allowed: bool
    remaining: int
    reset_s: int
    retry_after_s: int

    def limit_header(self, quota: Quota) -> str:
        return f'"{quota.name}";r={self.remaining};t={self.reset_s}'


def decide(arrival_ns: int | None, now_ns: int, quota: Quota) -> tuple[int, Verdict]:
    """Take one request; return the next theoretical arrival time and the verdict.

    `arrival_ns` is the time at which the bucket will be full again, None for a new client. A
    refused request costs nothing: it returns the time that it was given.
    """
    window_ns = quota.interval_ns * quota.requests
    full_at = max(now_ns, arrival_ns or now_ns)
    next_full_at = full_at + quota.interval_ns
    allowed = next_full_at - now_ns <= window_ns
    if allowed:
        full_at = next_full_at
    return full_at, verdict_of(allowed, full_at - now_ns, quota)


def verdict_of(allowed: bool, used_ns: int, quota: Quota) -> Verdict:
    """What to tell a client whose bucket will be full again in `used_ns`."""
    free_ns = quota.interval_ns * quota.requests - used_ns
    short_ns = quota.interval_ns - free_ns
    return Verdict(
        allowed=allowed,
        remaining=max(0, free_ns // quota.interval_ns),
        reset_s=math.ceil(used_ns / NS_PER_S),
        retry_after_s=0 if allowed else max(1, math.ceil(short_ns / NS_PER_S)),
    )
