"""Rules, subscribers and deliveries, as OpenAPI shows them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from teleglas_gateway.rest.models import DecimalString, Model, Timestamp
from teleglas_gateway.rest.params import ID_PATTERN, TEXT_PATTERN

__all__ = ["Delivery", "NewRule", "NewSubscriber", "Rule", "Subscriber"]

Name = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
ClockTime = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$", examples=["22:30", ""])]
EventKind = Literal["whale", "signal", "forecast", "liquidation", "news", "gap"]
SubscriberId = Annotated[str, Field(min_length=1, max_length=128, pattern=ID_PATTERN)]


class NewRule(Model):
    """An event must meet all that is set; an empty list or null asks for nothing."""

    subscriber_id: SubscriberId
    name: str = Field(default="", max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")
    kinds: list[EventKind] = Field(default_factory=list, max_length=6)
    instruments: list[Name] = Field(default_factory=list, max_length=100)
    venues: list[Name] = Field(default_factory=list, max_length=32)
    min_notional: float | None = Field(default=None, ge=0, le=1e15, allow_inf_nan=False)
    min_percentile: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    min_abs_score: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    enabled: bool = True


class Rule(Model):
    id: str
    subscriber_id: str
    name: str
    kinds: list[str]
    instruments: list[str]
    venues: list[str]
    min_notional: DecimalString | None
    min_percentile: DecimalString | None
    min_abs_score: DecimalString | None
    enabled: bool


class NewSubscriber(Model):
    """Whom a channel reaches, when it may, and how often."""

    channel: Name
    address: str = Field(min_length=1, max_length=512, pattern=TEXT_PATTERN)
    time_zone: str = Field(default="UTC", max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")
    quiet_from: ClockTime = ""
    quiet_to: ClockTime = ""
    budget_per_hour: int = Field(default=20, ge=0, le=10_000)
    digest: bool = False
    enabled: bool = True


class Subscriber(Model):
    id: str
    channel: str
    address: str
    time_zone: str
    quiet_from: str
    quiet_to: str
    budget_per_hour: int
    digest: bool
    enabled: bool


class Delivery(Model):
    """What became of one event for one subscriber; `reason` says why it was not sent."""

    id: str
    subscriber_id: str
    rule_id: str
    event_id: str
    channel: str
    status: str
    attempts: int
    reason: str
    revision: int
    event_time: Timestamp | None
    delivered_time: Timestamp | None
