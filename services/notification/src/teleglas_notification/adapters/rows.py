"""Rows of subscribers and rules, and what the domain calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from teleglas_notification.domain.people import Subscriber
from teleglas_notification.domain.rules import Rule

__all__ = ["rule_of", "subscriber_of"]


def subscriber_of(row: Mapping[str, Any]) -> Subscriber:
    return Subscriber(
        row["tenant_id"],
        row["id"],
        row["channel"],
        row["address"],
        row["time_zone"],
        row["quiet_from"],
        row["quiet_to"],
        row["budget_per_hour"],
        row["digest"],
        row["enabled"],
        row["muted_until_ns"],
        row["disabled_reason"],
        row["created_ns"],
    )


def rule_of(row: Mapping[str, Any]) -> Rule:
    return Rule(
        row["tenant_id"],
        row["id"],
        row["subscriber_id"],
        row["name"],
        tuple(row["kinds"]),
        tuple(row["instruments"]),
        tuple(row["venues"]),
        row["min_notional"],
        row["min_percentile"],
        row["min_abs_score"],
        row["enabled"],
        row["created_ns"],
    )
