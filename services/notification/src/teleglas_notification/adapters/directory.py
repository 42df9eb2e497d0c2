"""Subscribers and rules in PostgreSQL, with a copy in memory that follows their version."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import asyncpg

from teleglas_common.clock import Clock
from teleglas_notification.adapters.rows import rule_of
from teleglas_notification.domain.people import Subscriber
from teleglas_notification.domain.rules import Rule, RuleBook

__all__ = ["PostgresDirectory", "TooManyError", "put_rule", "put_subscriber", "remove_rule"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

MAX_RULES = 50
"""Of one subscriber."""


class TooManyError(ValueError):
    """A subscriber has as many rules as it may."""


class PostgresDirectory:
    """What it hands out is at most `max_age_s` old."""

    def __init__(self, pool: asyncpg.Pool[Any], clock: Clock, max_age_s: float = 0.5) -> None:
        self._pool = pool
        self._clock = clock
        self._max_age_s = max_age_s
        self._looked_s = float("-inf")
        self._version = 0
        self._book = RuleBook(())
        self._channels: dict[tuple[str, str], str] = {}
        self._loading = asyncio.Lock()

    async def rules(self) -> RuleBook:
        async with self._loading:
            if self._clock.monotonic_s() - self._looked_s >= self._max_age_s:
                await self._look()
        return self._book

    def channel_of(self, rule: Rule) -> str:
        return self._channels[rule.tenant_id, rule.subscriber_id]

    async def _look(self) -> None:
        version = await self._pool.fetchval("SELECT version FROM notification.directory")
        if version != self._version:
            rows = await self._pool.fetch(
                "SELECT r.*, s.channel FROM notification.rules AS r"
                " JOIN notification.subscribers AS s"
                " ON s.tenant_id = r.tenant_id AND s.id = r.subscriber_id"
                " WHERE r.enabled AND s.enabled"
            )
            self._channels = {(r["tenant_id"], r["subscriber_id"]): r["channel"] for r in rows}
            self._book = RuleBook(rule_of(row) for row in rows)
            self._version = version
        self._looked_s = self._clock.monotonic_s()


async def put_subscriber(connection: Connection, one: Subscriber) -> None:
    """Make or change a subscriber; within the caller's transaction."""
    await connection.execute(
        "INSERT INTO notification.subscribers VALUES"
        " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        " ON CONFLICT (tenant_id, id) DO UPDATE SET channel = $3, address = $4, time_zone = $5,"
        " quiet_from = $6, quiet_to = $7, budget_per_hour = $8, digest = $9, enabled = $10,"
        " muted_until_ns = $11, disabled_reason = $12",
        one.tenant_id,
        one.id,
        one.channel,
        one.address,
        one.time_zone,
        one.quiet_from,
        one.quiet_to,
        one.budget_per_hour,
        one.digest,
        one.enabled,
        one.muted_until_ns,
        one.disabled_reason,
        one.created_ns,
    )
    await connection.execute(
        "INSERT INTO notification.chats (tenant_id, subscriber_id, channel) VALUES ($1, $2, $3)"
        " ON CONFLICT (tenant_id, subscriber_id) DO UPDATE SET channel = $3",
        one.tenant_id,
        one.id,
        one.channel,
    )
    await _changed(connection)


async def put_rule(connection: Connection, rule: Rule) -> bool:
    """Make or change a rule; False where there is no such subscriber. A changed rule keeps its age.

    Raises TooManyError.
    """
    owner = await connection.fetchval(
        "SELECT id FROM notification.subscribers WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        rule.tenant_id,
        rule.subscriber_id,
    )
    if owner is None:
        return False
    others = await connection.fetchval(
        "SELECT count(*) FROM notification.rules"
        " WHERE tenant_id = $1 AND subscriber_id = $2 AND id <> $3",
        rule.tenant_id,
        rule.subscriber_id,
        rule.id,
    )
    if others >= MAX_RULES:
        raise TooManyError(f"expected at most {MAX_RULES} rules of a subscriber, has {others}")
    done = await connection.execute(
        "INSERT INTO notification.rules AS r VALUES"
        " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        " ON CONFLICT (tenant_id, id) DO UPDATE SET name = $4, kinds = $5, instruments = $6,"
        " venues = $7, min_notional = $8, min_percentile = $9, min_abs_score = $10, enabled = $11"
        " WHERE r.subscriber_id = $3",
        rule.tenant_id,
        rule.id,
        rule.subscriber_id,
        rule.name,
        list(rule.kinds),
        list(rule.instruments),
        list(rule.venues),
        rule.min_notional,
        rule.min_percentile,
        rule.min_abs_score,
        rule.enabled,
        rule.created_ns,
    )
    await _changed(connection)
    return bool(done == "INSERT 0 1")


async def remove_rule(connection: Connection, tenant_id: str, rule_id: str) -> bool:
    """Whether there was such a rule."""
    done = await connection.execute(
        "DELETE FROM notification.rules WHERE tenant_id = $1 AND id = $2", tenant_id, rule_id
    )
    await _changed(connection)
    return bool(done != "DELETE 0")


async def _changed(connection: Connection) -> None:
    await connection.execute("UPDATE notification.directory SET version = version + 1")
