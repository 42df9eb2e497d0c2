"""What a command or a pressed button does: in one transaction with the update's id."""

from __future__ import annotations

import html
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import asyncpg

from teleglas_common.clock import Clock
from teleglas_notification.adapters.directory import (
    TooManyError,
    put_rule,
    put_subscriber,
    remove_rule,
)
from teleglas_notification.adapters.rows import rule_of, subscriber_of
from teleglas_notification.domain.cards import load_card
from teleglas_notification.domain.commands import (
    HELP,
    Command,
    CommandError,
    Watch,
    describe_rule,
    parse_command,
    parse_mute_s,
    parse_quiet,
    parse_switch,
    parse_watch,
    rule_from,
)
from teleglas_notification.domain.people import SECOND_NS, Subscriber
from teleglas_notification.domain.texts import receipt_text

__all__ = ["Answer", "Desk", "Heard", "Newcomers"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

MAX_CHATS = 10_000
KEEP_UPDATES = 10_000
MINUTE_S = 60.0
NOBODY = "Say /start first."


@dataclass(frozen=True, slots=True)
class Heard:
    """One update: what was typed, or the data of a pressed button and the message below it."""

    update_id: int
    chat: int
    text: str = ""
    query_id: str = ""
    data: str = ""
    message: int = 0
    is_gone: bool = False
    """The person has blocked the bot."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the chat, as HTML."""

    html: str


@dataclass(frozen=True, slots=True)
class Newcomers:
    """What a chat gets with /start."""

    tenant_id: str
    watch: Watch | None
    budget_per_hour: int


class Desk:
    """Commands of private chats, one after the other; each chat may say so many a minute."""

    def __init__(
        self, pool: asyncpg.Pool[Any], clock: Clock, newcomers: Newcomers, per_minute: int
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._newcomers = newcomers
        self._per_minute = per_minute
        self._heard: OrderedDict[int, deque[float]] = OrderedDict()

    async def hear(self, heard: Heard) -> Answer | None:
        """Do what an update asks, once; None where there is nothing to say."""
        if not self._may_speak(heard.chat):
            return None
        async with self._pool.acquire() as connection, connection.transaction():
            if not await self._is_new(connection, heard.update_id):
                return None
            try:
                return await self._do(connection, heard)
            except (CommandError, TooManyError) as error:
                return Answer(html.escape(str(error), quote=False))

    def _may_speak(self, chat: int) -> bool:
        now_s = self._clock.monotonic_s()
        times = self._heard.setdefault(chat, deque(maxlen=self._per_minute))
        self._heard.move_to_end(chat)
        while len(self._heard) > MAX_CHATS:
            self._heard.popitem(last=False)
        while times and times[0] <= now_s - MINUTE_S:
            times.popleft()
        if len(times) >= self._per_minute:
            return False
        times.append(now_s)
        return True

    async def _is_new(self, connection: Connection, update_id: int) -> bool:
        done = await connection.execute(
            "INSERT INTO notification.telegram_updates VALUES ($1, $2) ON CONFLICT DO NOTHING",
            update_id,
            self._clock.now_ns(),
        )
        if update_id % 100 == 0:
            await connection.execute(
                "DELETE FROM notification.telegram_updates WHERE update_id < $1",
                update_id - KEEP_UPDATES,
            )
        return bool(done == "INSERT 0 1")

    async def _do(self, connection: Connection, heard: Heard) -> Answer | None:
        row = await connection.fetchrow(
            "SELECT * FROM notification.subscribers WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
            self._newcomers.tenant_id,
            _subscriber_id(heard.chat),
        )
        who = None if row is None else subscriber_of(row)
        if heard.is_gone:
            if who is not None:
                gone = replace(who, enabled=False, disabled_reason="blocked the bot")
                await put_subscriber(connection, gone)
            return None
        if heard.data:
            return await self._press(connection, who, heard)
        command = parse_command(heard.text)
        if command is None:
            return Answer(f"I know these:\n{html.escape(HELP)}") if heard.text[:1] == "/" else None
        if command.name == "start":
            return await self._start(connection, who, heard.chat)
        if command.name == "help":
            return Answer(html.escape(HELP))
        if who is None:
            return Answer(NOBODY)
        return await self._command(connection, who, command)

    async def _command(
        self, connection: Connection, who: Subscriber, command: Command
    ) -> Answer | None:
        match command.name:
            case "watch":
                return await self._watch(connection, who, parse_watch(command.rest))
            case "unwatch":
                return await self._unwatch(connection, who, command.rest)
            case "rules":
                return Answer(await self._rules(connection, who))
            case "mute":
                return await self._mute(connection, who, parse_mute_s(command.rest))
            case "quiet":
                return await self._quiet(connection, who, command.rest)
            case "digest":
                digest = parse_switch(command.rest)
                await put_subscriber(connection, replace(who, digest=digest))
                return Answer(f"Digest is {'on: one message an hour' if digest else 'off'}.")
            case "status":
                return Answer(await self._status(connection, who))
        return Answer(await self._why(connection, who, None))

    async def _start(self, connection: Connection, who: Subscriber | None, chat: int) -> Answer:
        new = self._newcomers
        if who is None:
            who = Subscriber(
                new.tenant_id,
                _subscriber_id(chat),
                "telegram",
                str(chat),
                budget_per_hour=new.budget_per_hour,
                created_ns=self._clock.now_ns(),
            )
            await put_subscriber(connection, who)
            if new.watch is not None:
                now_ns = self._clock.now_ns()
                await put_rule(connection, rule_from(new.watch, who.tenant_id, who.id, now_ns))
        elif not who.enabled:
            await put_subscriber(connection, replace(who, enabled=True, disabled_reason=""))
        rules = await self._rules(connection, who)
        return Answer(f"Welcome to Teleglas.\n{rules}\n\n{html.escape(HELP)}")

    async def _watch(self, connection: Connection, who: Subscriber, watch: Watch) -> Answer:
        rule = rule_from(watch, who.tenant_id, who.id, self._clock.now_ns())
        await put_rule(connection, rule)
        return Answer(f"Watching {html.escape(describe_rule(rule))}.")

    async def _unwatch(self, connection: Connection, who: Subscriber, rest: str) -> Answer:
        rules = await self._own_rules(connection, who)
        if rest == "all":
            chosen = rules
        elif rest.isdecimal() and len(rest) < 6 and 0 < int(rest) <= len(rules):
            chosen = [rules[int(rest) - 1]]
        else:
            raise CommandError(f"expected a number of /rules or all, was {rest[:32] or 'nothing'}")
        for rule in chosen:
            await remove_rule(connection, who.tenant_id, rule.id)
        return Answer(f"Removed {len(chosen)}.\n{await self._rules(connection, who)}")

    async def _mute(self, connection: Connection, who: Subscriber, seconds: int) -> Answer:
        until = self._clock.now_ns() + seconds * SECOND_NS if seconds else 0
        await put_subscriber(connection, replace(who, muted_until_ns=until))
        return Answer(f"Muted for {seconds // 60} min." if seconds else "Not muted.")

    async def _quiet(self, connection: Connection, who: Subscriber, rest: str) -> Answer:
        quiet = parse_quiet(rest)
        who = replace(
            who,
            quiet_from=quiet.begin,
            quiet_to=quiet.end,
            time_zone=quiet.time_zone or who.time_zone,
        )
        await put_subscriber(connection, who)
        if not quiet.begin:
            return Answer("No quiet hours.")
        return Answer(f"Quiet from {quiet.begin} to {quiet.end}, {html.escape(who.time_zone)}.")

    async def _press(
        self, connection: Connection, who: Subscriber | None, heard: Heard
    ) -> Answer | None:
        if who is None:
            return None
        kind, _, minutes = heard.data.partition(":")
        if kind == "mute" and minutes == "60":
            return await self._mute(connection, who, int(minutes) * 60)
        if kind == "why":
            return Answer(await self._why(connection, who, heard.message))
        return None

    async def _rules(self, connection: Connection, who: Subscriber) -> str:
        rules = await self._own_rules(connection, who)
        if not rules:
            return "You watch nothing yet."
        told = [f"{at}. {html.escape(describe_rule(one))}" for at, one in enumerate(rules, 1)]
        return "You watch:\n" + "\n".join(told)

    async def _own_rules(self, connection: Connection, who: Subscriber) -> list[Any]:
        rows = await connection.fetch(
            "SELECT * FROM notification.rules WHERE tenant_id = $1 AND subscriber_id = $2"
            " ORDER BY created_ns, id LIMIT 50",
            who.tenant_id,
            who.id,
        )
        return [rule_of(row) for row in rows]

    async def _status(self, connection: Connection, who: Subscriber) -> str:
        rows = await connection.fetch(
            "SELECT status, count(*) AS n FROM notification.deliveries WHERE tenant_id = $1"
            " AND subscriber_id = $2 AND created_ns > $3 GROUP BY status ORDER BY status",
            who.tenant_id,
            who.id,
            self._clock.now_ns() - 86_400 * SECOND_NS,
        )
        names = {1: "waiting", 2: "sent", 3: "edited", 4: "held", 5: "failed", 6: "suppressed"}
        told = ", ".join(f"{row['n']} {names[row['status']]}" for row in rows) or "nothing yet"
        left_s = max(0, who.muted_until_ns - self._clock.now_ns()) // SECOND_NS
        quiet = f"{who.quiet_from}-{who.quiet_to}" if who.quiet_from else "none"
        return "\n".join(
            (
                f"Last 24 h: {told}",
                f"Budget: {who.budget_per_hour} messages an hour, the rest is summed up",
                f"Muted: {f'{left_s // 60} min more' if left_s else 'no'}",
                f"Quiet hours: {quiet}, {html.escape(who.time_zone)}",
                f"Digest: {'on' if who.digest else 'off'}",
            )
        )

    async def _why(self, connection: Connection, who: Subscriber, message: int | None) -> str:
        """The receipt of a message, or of the newest one."""
        refs = None if message is None else [f"text:{message}", f"photo:{message}"]
        row: Mapping[str, Any] | None = await connection.fetchrow(
            "SELECT c.body FROM notification.messages AS m"
            " JOIN notification.deliveries AS d ON d.message_id = m.id"
            " JOIN notification.cards AS c ON c.event_id = d.event_id"
            " WHERE m.tenant_id = $1 AND m.subscriber_id = $2 AND m.sent > 0"
            " AND ($3::text[] IS NULL OR m.ref = ANY($3)) ORDER BY m.seq DESC, d.seq DESC LIMIT 1",
            who.tenant_id,
            who.id,
            refs,
        )
        if row is None:
            return "There is no message yet that could be explained."
        return receipt_text(load_card(row["body"]), who.time_zone)


def _subscriber_id(chat: int) -> str:
    return f"telegram-{chat}"
