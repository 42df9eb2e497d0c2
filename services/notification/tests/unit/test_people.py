"""When people may be told."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notification_samples import SECOND, T0

from teleglas_notification.domain.people import (
    HOUR_NS,
    Hold,
    Join,
    Say,
    Subscriber,
    Suppress,
    decide,
    quiet_until,
)

BERLIN = ZoneInfo("Europe/Berlin")


def who(**changes: object) -> Subscriber:
    return Subscriber("default", "s1", "console", "me", **changes)  # type: ignore[arg-type]


def at(text: str) -> int:
    there = datetime.fromisoformat(text).replace(tzinfo=BERLIN)
    return round(there.timestamp()) * SECOND


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2025-01-10T21:59:59", None),
        ("2025-01-10T22:00:00", "2025-01-11T07:00:00"),
        ("2025-01-11T06:59:00", "2025-01-11T07:00:00"),
        ("2025-01-11T07:00:00", None),
        ("2025-03-29T23:00:00", "2025-03-30T07:00:00"),  # the night that loses an hour
        ("2025-10-25T23:00:00", "2025-10-26T07:00:00"),  # the night that gains one
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall(now: str, until: str | None) -> None:
    """Over midnight and over changes of summer time."""
    sleeper = who(quiet_from="22:00", quiet_to="07:00", time_zone="Europe/Berlin")
    assert quiet_until(sleeper, at(now)) == (None if until is None else at(until))


@given(
    st.integers(0, 4_000_000_000), st.integers(0, 1_439), st.integers(0, 1_439),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "no-zone"]),
)  # fmt: skip
def test_quiet_hours_always_end_within_a_day_or_so(
    now_s: int, begin: int, end: int, zone: str
) -> None:
    """Whatever the zone, what is held is due in the future and not for ever."""
    clocks = [f"{minutes // 60:02d}:{minutes % 60:02d}" for minutes in (begin, end)]
    sleeper = who(quiet_from=clocks[0], quiet_to=clocks[1], time_zone=zone)
    until = quiet_until(sleeper, now_s * SECOND)
    assert until is None or now_s * SECOND < until <= (now_s + 26 * 3_600) * SECOND


def test_decision_order_is_off_mute_quiet_digest_budget() -> None:
    """Each later reason holds only where no earlier one does."""
    now = T0 + 1
    assert decide(who(enabled=False, disabled_reason="blocked"), now, 0) == Suppress("blocked")
    assert decide(who(muted_until_ns=now + 1, digest=True), now, 0) == Suppress("muted")
    assert decide(who(muted_until_ns=now), now, 0) == Say()
    quiet = who(quiet_from="00:00", quiet_to="06:00", digest=True)
    assert decide(quiet, now, 0) == Hold(T0 + 6 * HOUR_NS, "quiet hours")
    assert decide(who(digest=True), now, 0) == Hold(T0 + HOUR_NS, "digest")
    assert decide(who(budget_per_hour=2), now, 1) == Say()
    assert decide(who(budget_per_hour=2), now, 2) == Join(T0 // HOUR_NS)
