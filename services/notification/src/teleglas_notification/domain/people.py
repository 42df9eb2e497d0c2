"""When a subscriber may be told: mute, quiet hours, digest and the budget of an hour."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = [
    "Decision",
    "Hold",
    "Join",
    "Say",
    "Subscriber",
    "Suppress",
    "decide",
    "minutes_of",
    "quiet_until",
    "zone_of",
]

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
DAY_MINUTES = 24 * 60
CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Somebody who is told, and how they want it."""

    tenant_id: str
    id: str
    channel: str
    address: str
    time_zone: str = "UTC"
    quiet_from: str = ""
    quiet_to: str = ""
    budget_per_hour: int = 20
    digest: bool = False
    enabled: bool = True
    muted_until_ns: int = 0
    disabled_reason: str = ""
    created_ns: int = 0


@dataclass(frozen=True, slots=True)
class Say:
    """A message of its own, now."""


@dataclass(frozen=True, slots=True)
class Join:
    """Into the one summary of this clock hour."""

    hour: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Into the digest that goes out then."""

    until_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Suppress:
    """Not at all."""

    reason: str


Decision = Say | Join | Hold | Suppress


def decide(who: Subscriber, now_ns: int, said_this_hour: int) -> Decision:
    """What becomes of an event that a rule of `who` asked for."""
    if not who.enabled:
        return Suppress(who.disabled_reason or "switched off")
    if now_ns < who.muted_until_ns:
        return Suppress("muted")
    until = quiet_until(who, now_ns)
    if until is not None:
        return Hold(until, "quiet hours")
    if who.digest:
        return Hold((now_ns // HOUR_NS + 1) * HOUR_NS, "digest")
    if said_this_hour >= who.budget_per_hour:
        return Join(now_ns // HOUR_NS)
    return Say()


def quiet_until(who: Subscriber, now_ns: int) -> int | None:
    """When the quiet hours that hold now end, None outside of them; over a change to or from summer
    time they end at the time that the clock on the wall shows.
    """
    begin, end = minutes_of(who.quiet_from), minutes_of(who.quiet_to)
    if begin is None or end is None or begin == end:
        return None
    zone = zone_of(who.time_zone)
    here = datetime.fromtimestamp(now_ns // SECOND_NS, UTC).astimezone(zone)
    at = here.hour * 60 + here.minute
    inside = begin <= at < end if begin < end else at >= begin or at < end
    if not inside:
        return None
    days = 1 if begin > end and at >= begin else 0
    over = (here + timedelta(days=days)).replace(
        hour=end // 60, minute=end % 60, second=0, microsecond=0, fold=0
    )
    return max(round(over.astimezone(UTC).timestamp()) * SECOND_NS, now_ns + SECOND_NS)


def minutes_of(clock: str) -> int | None:
    """Minutes since midnight of `HH:MM`; None for anything else."""
    found = CLOCK.fullmatch(clock)
    return None if found is None else int(found[1]) * 60 + int(found[2])


@lru_cache(maxsize=1_024)
def zone_of(name: str) -> tzinfo:
    """The zone of that name, UTC where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
