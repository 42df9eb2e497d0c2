"""What people type to the bot: parsed strictly, answered in words."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import available_timezones

from teleglas_notification.domain.cards import KINDS
from teleglas_notification.domain.people import minutes_of
from teleglas_notification.domain.rules import Rule

__all__ = [
    "HELP",
    "MAX_COMMAND",
    "Command",
    "CommandError",
    "Quiet",
    "Watch",
    "describe_rule",
    "parse_command",
    "parse_mute_s",
    "parse_quiet",
    "parse_switch",
    "parse_watch",
    "rule_from",
]

MAX_COMMAND = 256
MAX_MUTE_S = 30 * 86_400
MAX_NAMES = 20
MAX_AMOUNT = 1e15
NAMES = ("start", "watch", "unwatch", "rules", "mute", "quiet", "digest", "status", "why", "help")
COMMAND = re.compile(r"/([a-z]{1,16})(?:@\w{1,64})?(?:\s+(.*))?", re.DOTALL)
INSTRUMENT = re.compile(r"[A-Z0-9]{1,20}(?:-[A-Z0-9.]{1,20}){0,4}")
VENUE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
SPAN = re.compile(r"(\d{1,5})\s*(m|min|h|d)")
SPAN_S = {"m": 60, "min": 60, "h": 3_600, "d": 86_400}
SWITCH = {"on": True, "off": False}

HELP = (
    "/watch BTC ETH-USDT min=500k pct=0.99 score=40 venue=binance kind=whale\n"
    "/unwatch NUMBER or all · /rules\n"
    "/mute 1h or off · /quiet 22:00-07:00 Europe/Berlin or off · /digest on or off\n"
    "/status · /why"
)


class CommandError(ValueError):
    """What was typed cannot be meant; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Command:
    """A known name and what stood behind it."""

    name: str
    rest: str


@dataclass(frozen=True, slots=True)
class Watch:
    """The conditions of one rule."""

    kinds: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()
    min_notional: float | None = None
    min_percentile: float | None = None
    min_abs_score: float | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """Quiet hours; empty times switch them off, an empty zone leaves it as it is."""

    begin: str = ""
    end: str = ""
    time_zone: str = ""


def parse_command(text: str) -> Command | None:
    """The command of a message, None where it is none that we know."""
    if len(text) > MAX_COMMAND:
        return None
    found = COMMAND.fullmatch(text.strip())
    if found is None or found[1] not in NAMES:
        return None
    return Command(found[1], (found[2] or "").strip())


def parse_watch(rest: str) -> Watch:
    """Words are instruments, `name=value` are conditions; CommandError for anything else."""
    instruments: list[str] = []
    conditions: dict[str, str] = {}
    for word in rest.replace(",", " ").split():
        name, is_condition, value = word.partition("=")
        if is_condition:
            conditions[name.lower()] = value
            continue
        symbol = word.upper()
        if INSTRUMENT.fullmatch(symbol) is None:
            raise CommandError(f"expected an instrument such as BTC or BTC-USDT, was {word[:32]}")
        instruments.append(symbol)
    unknown = sorted(set(conditions) - {"kind", "venue", "min", "pct", "score"})
    if unknown:
        raise CommandError(f"expected kind, venue, min, pct or score, was {unknown[0][:32]}")
    if len(instruments) > MAX_NAMES:
        raise CommandError(f"expected at most {MAX_NAMES} instruments, were {len(instruments)}")
    return Watch(
        _names(conditions, "kind", KINDS),
        tuple(dict.fromkeys(instruments)),
        _names(conditions, "venue", ()),
        _number(conditions, "min", MAX_AMOUNT),
        _number(conditions, "pct", 1.0),
        _number(conditions, "score", 100.0),
    )


def parse_mute_s(rest: str) -> int:
    """Seconds of silence, 0 for none; an hour where nothing is said."""
    if rest in ("", "off"):
        return 0 if rest else 3_600
    found = SPAN.fullmatch(rest.lower())
    seconds = int(found[1]) * SPAN_S[found[2]] if found else -1
    if not 0 < seconds <= MAX_MUTE_S:
        raise CommandError(f"expected 30m, 1h, 2d (at most 30d) or off, was {rest[:32]}")
    return seconds


def parse_quiet(rest: str) -> Quiet:
    """`22:00-07:00`, with a time zone or without, or `off`."""
    words = rest.split()
    if words == ["off"]:
        return Quiet()
    begin, _, end = (words or [""])[0].partition("-")
    if len(words) not in (1, 2) or minutes_of(begin) is None or minutes_of(end) is None:
        raise CommandError(f"expected 22:00-07:00 and a time zone, or off, was {rest[:64]}")
    if begin == end:
        raise CommandError("expected quiet hours that begin and end at different times")
    zone = words[1] if len(words) == 2 else ""
    if zone and zone not in available_timezones():
        raise CommandError(f"expected a time zone such as Europe/Berlin, was {zone[:64]}")
    return Quiet(begin, end, zone)


def parse_switch(rest: str) -> bool:
    """`on` or `off`; on where nothing is said."""
    if rest.lower() not in ("", *SWITCH):
        raise CommandError(f"expected on or off, was {rest[:32]}")
    return SWITCH.get(rest.lower(), True)


def rule_from(watch: Watch, tenant_id: str, subscriber_id: str, now_ns: int) -> Rule:
    """Equal conditions of one subscriber are one rule."""
    told = repr((watch, subscriber_id)).encode()
    number = int.from_bytes(hashlib.sha256(told).digest()[:4], "big") % 1_000_000
    return Rule(
        tenant_id,
        f"{subscriber_id}-{number:06d}",
        subscriber_id,
        "",
        watch.kinds,
        watch.instruments,
        watch.venues,
        watch.min_notional,
        watch.min_percentile,
        watch.min_abs_score,
        True,
        now_ns,
    )


def describe_rule(rule: Rule) -> str:
    """A rule in one line."""
    parts = [
        " or ".join(rule.kinds) or "everything",
        f"of {', '.join(rule.instruments)}" if rule.instruments else "",
        f"on {', '.join(rule.venues)}" if rule.venues else "",
        f"from {rule.min_notional:,.0f}" if rule.min_notional else "",
        f"percentile {rule.min_percentile:g} or more" if rule.min_percentile else "",
        f"score {rule.min_abs_score:g} or more either way" if rule.min_abs_score else "",
    ]
    return " ".join(part for part in parts if part)


def _names(conditions: Mapping[str, str], name: str, known: Sequence[str]) -> tuple[str, ...]:
    if name not in conditions:
        return ()
    values = tuple(dict.fromkeys(conditions[name].lower().split("+")))[:MAX_NAMES]
    for value in values:
        if (known and value not in known) or VENUE.fullmatch(value) is None:
            wanted = " or ".join(known) if known else "a venue such as binance"
            raise CommandError(f"expected {wanted}, was {value[:32]}")
    return values


def _number(conditions: Mapping[str, str], name: str, most: float) -> float | None:
    if name not in conditions:
        return None
    text = conditions[name].lower()
    factor = {"k": 1e3, "m": 1e6}.get(text[-1:], 1.0)
    try:
        value = float(text[:-1] if factor != 1.0 else text) * factor
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise CommandError(f"expected {name} of 0 to {most:g}, was {text[:32]}")
    return value
