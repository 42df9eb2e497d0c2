"""The outbox on PostgreSQL, over real HTTP, with a Bot API server that misbehaves."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from notification_rig import FAST, TOKEN, FastClock, opened, telegram_on
from notification_samples import T0, card, whale

from teleglas_common.clock import ManualClock
from teleglas_common.testing import eventually
from teleglas_notification.adapters.cleaner import Cleaner
from teleglas_notification.adapters.outbox import EDITED, FAILED, SENT, Outbox
from teleglas_notification.adapters.planning import HELD, SUPPRESSED
from teleglas_notification.adapters.resend import resend
from teleglas_notification.adapters.store import QUEUED
from teleglas_notification.domain.people import HOUR_NS
from teleglas_notification.ports import Job, Outcome
from teleglas_sim.botapi.server import BotApiServer

FAULTS = int(os.environ.get("TELEGLAS_BOT_FAULTS", "500"))
"""Answers of the Bot API that are none; 5,000 of them take minutes."""

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def server() -> AsyncIterator[BotApiServer]:
    made = BotApiServer(TOKEN)
    made.chats.known |= set(range(1001, 1101))
    await made.start()
    yield made
    await made.stop()


def shown(server: BotApiServer, chat: int) -> list[str]:
    """What stands in a chat, in its order."""
    return [one.text for one in server.chats.messages.values() if one.chat == chat]


def numbers(server: BotApiServer, chat: int) -> list[int]:
    """The levels of the whales that a chat was told of: tests number events by them."""
    return [int(text.split(" levels")[0].rpartition(" ")[2]) for text in shown(server, chat)]


async def run_until(dispatcher: Any, holds: Callable[[], Any], timeout_s: float) -> None:
    """Run a dispatcher until something holds."""
    running = asyncio.create_task(dispatcher.run())
    try:
        await eventually(holds, timeout_s=timeout_s, every_s=0.1)
    finally:
        dispatcher.stop()
        await asyncio.wait_for(running, 30.0)


def numbered(count: int) -> list[Any]:
    return [card(n, whale=whale(levels=n)) for n in range(1, count + 1)]


async def test_outbox_event_told_twice_gives_one_message(
    database_dsn: str, server: BotApiServer
) -> None:
    """The same checkpoint again, as after a crash, adds nothing."""
    async with opened(database_dsn) as rig, telegram_on(server) as channel:
        who = await rig.subscribe()
        await rig.tell([card()], [who])
        await rig.tell([card()], [who])
        await run_until(rig.dispatcher(channel), lambda: len(shown(server, 1001)) == 1, 20)
        assert await rig.statuses() == {SENT: 1}


async def test_outbox_better_event_edits_its_message(
    database_dsn: str, server: BotApiServer
) -> None:
    """A revision changes the message that stands, and adds none."""
    async with opened(database_dsn, clock=FastClock(20)) as rig, telegram_on(server) as channel:
        who = await rig.subscribe()
        await rig.tell([card()], [who])
        await run_until(rig.dispatcher(channel), lambda: len(shown(server, 1001)) == 1, 20)
        await rig.tell([card(whale=whale(revision=1, is_closed=True, fills=44))], [who])

        def is_edited() -> bool:
            return ["44 fills" in text for text in shown(server, 1001)] == [True]

        await run_until(rig.dispatcher(channel), is_edited, 20)
        assert await rig.statuses() == {EDITED: 1}


class HeldOutbox(Outbox):
    """Stands still between the words of a call and the commit that says it is on its way."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.began, self.go = asyncio.Event(), asyncio.Event()

    async def _begin(self, *args: Any) -> Job:
        job = await super()._begin(*args)
        self.began.set()
        await self.go.wait()
        return job


async def test_outbox_event_that_betters_while_its_message_is_made_edits_it(
    database_dsn: str,
) -> None:
    """A checkpoint that comes between the words of the first call and its commit is not missed."""
    async with opened(database_dsn) as rig:
        who = await rig.subscribe()
        await rig.tell([card()], [who])
        outbox = HeldOutbox(rig.pool, rig.clock, "tests", lease_s=60.0, chat_gap_s=0.0)
        taking = asyncio.create_task(outbox.take("telegram"))
        await asyncio.wait_for(outbox.began.wait(), 5.0)
        better = asyncio.create_task(rig.tell([card(whale=whale(revision=1, fills=44))], []))
        await asyncio.wait({better}, timeout=0.5)
        outbox.go.set()
        job = await taking
        await better
        assert job is not None
        assert job.cards[0].whale == card().whale
        await outbox.settle(job, Outcome("sent", ref="1"))
        edit = await outbox.take("telegram")
        assert edit is not None
        assert edit.is_edit
        assert edit.cards[0].whale == whale(revision=1, fills=44)


async def test_outbox_lease_of_a_dead_replica_passes_to_another(
    database_dsn: str, server: BotApiServer
) -> None:
    """What was in flight is sent again once the lease is over, and counted as a possible repeat."""
    async with opened(database_dsn, clock=FastClock(50)) as rig, telegram_on(server) as channel:
        who = await rig.subscribe()
        await rig.tell([card()], [who])
        dead = rig.outbox("dead", lease_s=60.0)
        job = await dead.take("telegram")
        assert job is not None
        assert await rig.outbox("other").take("telegram") is None
        await run_until(rig.dispatcher(channel), lambda: len(shown(server, 1001)) == 1, 20)
        assert rig.counted("teleglas_notification_possible_repeats_total", "telegram") == 1
        assert await dead.settle(job, Outcome("failed", reason="too late")) == []
        assert await rig.statuses() == {SENT: 1}


async def test_outbox_over_budget_becomes_one_edited_summary(
    database_dsn: str, server: BotApiServer
) -> None:
    """Ten events with a budget of three: three messages and one summary of seven."""
    async with opened(database_dsn, clock=FastClock(20)) as rig, telegram_on(server) as channel:
        who = await rig.subscribe(budget_per_hour=3)
        await rig.tell(numbered(6), [who])
        await run_until(rig.dispatcher(channel), lambda: len(shown(server, 1001)) == 4, 20)
        await rig.tell(numbered(10), [who])
        await run_until(rig.dispatcher(channel), lambda: "7 events" in shown(server, 1001)[-1], 20)
        assert len(shown(server, 1001)) == 4
        assert await rig.statuses() == {SENT: 10}


async def test_outbox_quiet_hours_end_in_one_digest(
    database_dsn: str, server: BotApiServer
) -> None:
    """What is held goes out as one message when the digest is due."""
    async with opened(database_dsn, clock=FastClock(1)) as rig, telegram_on(server) as channel:
        who = await rig.subscribe(digest=True)
        await rig.tell(numbered(4), [who])
        assert await rig.outbox().take("telegram") is None
        assert await rig.statuses() == {HELD: 4}
        due_ns = await rig.outbox().next_due_ns("telegram")
        assert due_ns is not None
        assert due_ns % HOUR_NS == 0
        await rig.pool.execute("UPDATE notification.messages SET due_ns = 1")
        await rig.pool.execute("UPDATE notification.chats SET due_ns = 1")
        await run_until(rig.dispatcher(channel), lambda: len(shown(server, 1001)) == 1, 20)
        assert "4 events" in shown(server, 1001)[0]
        assert await rig.statuses() == {SENT: 4}


async def test_outbox_blocked_bot_switches_the_subscriber_off(
    database_dsn: str, server: BotApiServer
) -> None:
    """After a 403 nothing more is tried, and all of it is kept; once back, it can be sent again."""
    async with opened(database_dsn, clock=FastClock(20)) as rig, telegram_on(server) as channel:
        who = await rig.subscribe()
        await rig.tell(numbered(3), [who])
        server.chats.blocked.add(1001)

        async def is_over() -> bool:
            return await rig.statuses() == {FAILED: 1, SUPPRESSED: 2}

        await run_until(rig.dispatcher(channel), is_over, 20)
        calls = [call for call in server.calls if call["method"] == "sendMessage"]
        assert len(calls) == 1
        server.chats.blocked.clear()
        await rig.subscribe()
        ids = await rig.pool.fetch("SELECT id FROM notification.deliveries ORDER BY seq")
        for row in ids:
            async with rig.pool.acquire() as connection, connection.transaction():
                now_ns = rig.clock.now_ns()
                assert await resend(connection, who.tenant_id, row["id"], now_ns) is not None
        await run_until(rig.dispatcher(channel), lambda: len(shown(server, 1001)) == 3, 20)
        assert numbers(server, 1001) == [1, 2, 3]
        assert await rig.statuses() == {SENT: 3}


async def test_outbox_retry_after_is_obeyed_by_every_chat(
    database_dsn: str, server: BotApiServer
) -> None:
    """After a 429 no call of any chat comes before the time that was asked for."""
    async with opened(database_dsn, clock=FastClock(10)) as rig, telegram_on(server) as channel:
        who = [await rig.subscribe(chat) for chat in (1001, 1002)]
        server.faults.order({"kinds": ["too_many"], "count": 1, "retry_after_s": 20})
        await rig.tell([card()], who)
        began_s = rig.clock.monotonic_s()

        def all_told() -> bool:
            return all(shown(server, chat) for chat in (1001, 1002))

        await run_until(rig.dispatcher(channel, workers=1), all_told, 30)
        assert rig.clock.monotonic_s() - began_s >= 20
        assert rig.counted("teleglas_notification_retry_after_seconds_total", "telegram") == 20


@pytest.mark.timeout(300)
async def test_outbox_five_minutes_without_telegram_lose_nothing(
    database_dsn: str, server: BotApiServer
) -> None:
    """The backlog drains in the order of each chat, and no faster than a chat may be called."""
    chats = range(1001, 1011)
    async with opened(database_dsn, clock=FastClock(30)) as rig, telegram_on(server) as channel:
        who = [await rig.subscribe(chat) for chat in chats]
        server.down = True
        dispatcher = rig.dispatcher(channel)
        running = asyncio.create_task(dispatcher.run())
        began_s = rig.clock.monotonic_s()
        for at in range(12):
            await rig.tell([card(at + 1, whale=whale(levels=at + 1))], who)
            dispatcher.wake()
            await rig.clock.sleep(25.0)
        assert rig.clock.monotonic_s() - began_s >= 300
        assert not any(shown(server, chat) for chat in chats)
        server.down = False
        await eventually(
            lambda: all(len(shown(server, chat)) == 12 for chat in chats), timeout_s=120
        )
        dispatcher.stop()
        await running
        for chat in chats:
            assert numbers(server, chat) == list(range(1, 13))
        assert await rig.statuses() == {SENT: 120}


@pytest.mark.timeout(600)
async def test_outbox_faulty_answers_lose_nothing(database_dsn: str, server: BotApiServer) -> None:
    """429, 5xx, nonsense, cut connections, with and without effect: everybody hears everything, in
    order; what came twice is not more than the calls whose end nobody saw, and is counted.
    """
    chats, each = range(1001, 1041), FAULTS * 60 // 5_000
    async with (
        opened(database_dsn, clock=FastClock(400), per_second=1_000.0) as rig,
        telegram_on(server) as channel,
    ):
        who = [await rig.subscribe(chat) for chat in chats]
        wish = {"share": 0.7, "count": FAULTS, "retry_after_s": 1, "seed": 7, "hang_s": 0.01}
        server.faults.order({**wish, "methods": ["sendMessage", "getMe"]})
        await rig.tell(numbered(each), who)
        policy = replace(FAST, tries=1_000, max_unconfirmed=100)
        total = len(chats) * each

        async def is_over() -> bool:
            return bool((await rig.statuses()).get(SENT, 0) == total)

        await run_until(rig.dispatcher(channel, policy=policy, workers=8), is_over, 500)
        served = server.faults.served
        assert sum(served.values()) == FAULTS
        taken = sum(count for kind, count in served.items() if kind.endswith("_taken"))
        copies = 0
        for chat in chats:
            told = numbers(server, chat)
            assert list(dict.fromkeys(told)) == list(range(1, each + 1))
            copies += sum(count - 1 for count in Counter(told).values())
        assert copies <= taken
        assert rig.counted("teleglas_notification_possible_repeats_total", "telegram") >= copies


async def test_outbox_chat_gets_a_short_burst_and_then_one_call_each_gap(
    database_dsn: str,
) -> None:
    """Three at once, the fourth when its time has come."""
    clock = ManualClock()
    async with opened(database_dsn, clock=clock) as rig:
        who = await rig.subscribe()
        await rig.tell(numbered(6), [who])
        outbox = rig.outbox()

        async def calls() -> int:
            made = 0
            while (job := await outbox.take("telegram")) is not None:
                made += 1
                await outbox.settle(job, Outcome("sent", f"text:{made}"))
            return made

        assert await calls() == 3
        await clock.advance(1.05)
        assert await calls() == 1
        await clock.advance(60.0)
        assert await calls() == 2


async def test_cleaner_drops_what_is_over_and_keeps_what_waits(
    database_dsn: str, server: BotApiServer
) -> None:
    """Old and reported goes with its message and card; what waits stays, however old it is."""
    async with opened(database_dsn) as rig, telegram_on(server) as channel:
        who = await rig.subscribe()
        await rig.tell([card(1)], [who])
        await run_until(rig.dispatcher(channel), lambda: len(shown(server, 1001)) == 1, 20)
        await rig.tell([card(2)], [who])
        await rig.pool.execute("UPDATE notification.deliveries SET reported = revision")
        await rig.pool.execute("UPDATE notification.deliveries SET created_ns = 1")
        await rig.pool.execute("UPDATE notification.messages SET created_ns = 1")
        await rig.pool.execute("UPDATE notification.cards SET updated_ns = 1")
        await Cleaner(rig.clock, 90).clean(rig.pool)
        assert await rig.statuses() == {QUEUED: 1}
        assert await rig.pool.fetchval("SELECT count(*) FROM notification.messages") == 0
        assert await rig.pool.fetchval("SELECT count(*) FROM notification.cards") == 1


async def test_outbox_event_time_is_what_the_delivery_carries(
    database_dsn: str, server: BotApiServer
) -> None:
    """A delivery's time is its event's, not ours."""
    async with opened(database_dsn) as rig, telegram_on(server) as channel:
        await rig.tell([card()], [await rig.subscribe()])
        await run_until(rig.dispatcher(channel), lambda: len(shown(server, 1001)) == 1, 20)
        assert await rig.pool.fetchval("SELECT ts_event FROM notification.deliveries") == T0
