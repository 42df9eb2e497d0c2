"""What callers may ask and store: every name, list and number is bounded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from zoneinfo import available_timezones

from teleglas.notification.v1 import notification_pb2 as pb
from teleglas_notification.channels.webhook import webhook_url_fault
from teleglas_notification.domain.cards import KINDS
from teleglas_notification.domain.people import Subscriber, minutes_of
from teleglas_notification.domain.rules import Rule

__all__ = [
    "MAX_TS",
    "InvalidRequestError",
    "NotFoundError",
    "check_id",
    "checked_rule",
    "checked_subscriber",
    "range_of",
]

MAX_TS = (1 << 63) - 1
MAX_LIST = 50
MAX_LABEL = 120
MAX_BUDGET = 10_000
ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
CHAT = re.compile(r"[1-9]\d{0,17}")


class InvalidRequestError(ValueError):
    """The request can never be answered as it is."""


class NotFoundError(LookupError):
    """Nothing is known of what was asked for."""


def check_id(what: str, value: str) -> str:
    """Raises InvalidRequestError for what is no id of a tenant, subscriber or rule."""
    if ID.fullmatch(value) is None:
        raise InvalidRequestError(
            f"expected {what} of 1 to 64 letters, digits or _.-, was {value[:64]!r}"
        )
    return value


def checked_rule(message: pb.Rule, tenant_id: str, now_ns: int) -> Rule:
    """Raises InvalidRequestError for what is no rule of this tenant."""
    _check_tenant(message.tenant_id, tenant_id)
    kinds = _words("kinds", message.kinds)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise InvalidRequestError(f"expected kinds of {', '.join(KINDS)}, was {unknown[0]!r}")
    return Rule(
        tenant_id,
        check_id("a rule's id", message.id),
        check_id("a subscriber's id", message.subscriber_id),
        _label("a name", message.name),
        kinds,
        _words("instruments", message.instruments),
        _words("venues", message.venues),
        _number("min_notional", message, 1e18),
        _number("min_percentile", message, 1.0),
        _number("min_abs_score", message, 100.0),
        message.enabled,
        now_ns,
    )


def checked_subscriber(
    message: pb.Subscriber,
    tenant_id: str,
    now_ns: int,
    *,
    channels: Iterable[str],
    allow_loopback: bool,
) -> Subscriber:
    """Raises InvalidRequestError for what is no subscriber of this tenant."""
    _check_tenant(message.tenant_id, tenant_id)
    if message.channel not in channels:
        raise InvalidRequestError(
            f"expected a channel of {', '.join(sorted(channels))}, was {message.channel[:64]!r}"
        )
    _check_address(message, allow_loopback=allow_loopback)
    zone = message.time_zone or "UTC"
    if zone not in available_timezones():
        raise InvalidRequestError(f"expected a time zone such as Europe/Berlin, was {zone[:64]!r}")
    clocks = (message.quiet_from, message.quiet_to)
    if clocks != ("", "") and (
        any(minutes_of(clock) is None for clock in clocks) or clocks[0] == clocks[1]
    ):
        raise InvalidRequestError(
            "expected quiet hours as two different times HH:MM or none,"
            f" were {clocks[0][:16]!r} and {clocks[1][:16]!r}"
        )
    if message.budget_per_hour > MAX_BUDGET:
        raise InvalidRequestError(
            f"expected a budget of 0 to {MAX_BUDGET} an hour, was {message.budget_per_hour}"
        )
    return Subscriber(
        tenant_id,
        check_id("a subscriber's id", message.id),
        message.channel,
        message.address,
        zone,
        *clocks,
        message.budget_per_hour or 20,
        message.digest,
        message.enabled,
        created_ns=now_ns,
    )


def range_of(ts_from: int, ts_to: int) -> tuple[int, int]:
    """`[from, to)` with open sides closed."""
    end = ts_to or MAX_TS
    if ts_from < 0 or ts_to < 0 or ts_from > end:
        raise InvalidRequestError(f"expected 0 <= from <= to, was {ts_from} and {ts_to}")
    return ts_from, end


def _check_tenant(given: str, own: str) -> None:
    if given not in ("", own):
        raise InvalidRequestError(f"expected the tenant {own!r} or none, was {given[:64]!r}")


def _check_address(message: pb.Subscriber, *, allow_loopback: bool) -> None:
    address = message.address
    if message.channel == "telegram" and CHAT.fullmatch(address) is None:
        raise InvalidRequestError(f"expected a private chat's number, was {address[:64]!r}")
    if message.channel == "webhook":
        fault = webhook_url_fault(address, allow_loopback=allow_loopback)
        if fault is not None:
            raise InvalidRequestError(fault)
    elif message.channel == "console":
        _label("an address", address)


def _label(what: str, text: str) -> str:
    if len(text) > MAX_LABEL or not text.isprintable():
        raise InvalidRequestError(f"expected {what} of at most {MAX_LABEL} printable characters")
    return text


def _words(what: str, values: Iterable[str]) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(values))
    if len(words) > MAX_LIST or any(WORD.fullmatch(word) is None for word in words):
        raise InvalidRequestError(
            f"expected at most {MAX_LIST} {what} of 1 to 64 letters, digits or _.-"
        )
    return words


def _number(name: str, message: pb.Rule, most: float) -> float | None:
    if not message.HasField(name):  # type: ignore[arg-type]
        return None
    value = float(getattr(message, name))
    if not math.isfinite(value) or not 0 <= value <= most:
        raise InvalidRequestError(f"expected {name} of 0 to {most:g}, was {value}")
    return value
