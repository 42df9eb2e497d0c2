"""Commands and the gRPC service on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc
import pytest
from notification_rig import TOKEN, Rig, opened
from notification_samples import T0, card, whale

from teleglas.notification.v1 import notification_pb2 as pb
from teleglas.notification.v1.notification_pb2_grpc import (
    NotificationsStub,
    add_NotificationsServicer_to_server,
)
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.principal import METADATA_KEY, Principal, Signer, authenticator
from teleglas_common.settings import GrpcSection
from teleglas_common.telemetry import Metrics
from teleglas_notification.adapters.grpc_service import ERRORS, Access, NotificationsService
from teleglas_notification.bot.desk import Desk, Heard, Newcomers
from teleglas_notification.bot.updates import (
    MAX_UPDATE_BYTES,
    SECRET_HEADER,
    Receptionist,
    WebhookServer,
)
from teleglas_notification.channels.bot_api import telegram_bot
from teleglas_notification.counts import Counts
from teleglas_notification.domain.commands import Watch
from teleglas_sim.botapi.server import BotApiServer

pytestmark = pytest.mark.integration

SECRET = "a-secret-for-updates"
SIGNER = Signer([b"a-key-of-16-bytes-or-more"], SystemClock())


def desk_of(rig: Rig, per_minute: int = 1_000) -> Desk:
    newcomers = Newcomers("default", Watch(("whale",), min_notional=1_000.0), 20)
    return Desk(rig.pool, rig.clock, newcomers, per_minute)


class Chat:
    """Somebody who types."""

    def __init__(self, desk: Desk, number: int = 7) -> None:
        self._desk = desk
        self._number = number
        self._next = number * 1_000

    async def say(self, text: str, **more: Any) -> str:
        self._next += 1
        answer = await self._desk.hear(Heard(self._next, self._number, text, **more))
        return "" if answer is None else answer.html


async def test_newcomer_watches_at_once_and_can_change_all_of_it(database_dsn: str) -> None:
    """Every command has its effect, and says so."""
    async with opened(database_dsn) as rig:
        chat = Chat(desk_of(rig))
        assert await chat.say("/rules") == "Say /start first."
        assert "1. whale from 1,000" in await chat.say("/start")
        assert await chat.say("/watch BTC min=500k") == "Watching everything of BTC from 500,000."
        assert "2. everything of BTC" in await chat.say("/rules")
        assert "Removed 1." in await chat.say("/unwatch 1")
        assert await chat.say("/mute 30m") == "Muted for 30 min."
        assert (
            await chat.say("/quiet 22:00-07:00 Europe/Berlin")
            == "Quiet from 22:00 to 07:00, Europe/Berlin."
        )
        assert await chat.say("/digest on") == "Digest is on: one message an hour."
        status = await chat.say("/status")
        assert "Muted: 29 min more" in status
        assert "22:00-07:00, Europe/Berlin" in status
        assert await chat.say("/watch <script>") == (
            "expected an instrument such as BTC or BTC-USDT, was &lt;script&gt;"
        )
        assert await chat.say("hello") == ""
        assert await chat.say("", data="mute:60") == "Muted for 60 min."
        assert await chat.say("", data="mute:999999") == ""


async def test_update_that_comes_again_has_its_effect_once(database_dsn: str) -> None:
    """By its id, over restarts."""
    async with opened(database_dsn) as rig:
        heard = Heard(5, 7, "/start")
        assert await desk_of(rig).hear(heard) is not None
        assert await desk_of(rig).hear(heard) is None


async def test_chat_that_floods_gets_no_answers(database_dsn: str) -> None:
    """So many commands a minute; others are answered all the same."""
    async with opened(database_dsn) as rig:
        desk = desk_of(rig, per_minute=3)
        loud, calm = Chat(desk, 7), Chat(desk, 8)
        answers = [await loud.say("/start") for _ in range(10)]
        assert [bool(answer) for answer in answers] == [True] * 3 + [False] * 7
        assert await calm.say("/start")


async def test_why_answers_with_the_receipt_of_the_message_below_the_button(
    database_dsn: str,
) -> None:
    """By the message's number, the newest without one; nothing of other people."""
    async with opened(database_dsn) as rig:
        chat = Chat(desk_of(rig))
        await chat.say("/start")
        assert "no message yet" in await chat.say("/why")
        who = await rig.subscribe(7, id="telegram-7")
        await rig.tell([card(1), card(2, whale=whale(fills=99))], [who])
        outbox = rig.outbox()
        from teleglas_notification.ports import Outcome

        for number in (501, 502):
            await rig.pool.execute("UPDATE notification.chats SET due_ns = 1")
            job = await outbox.take("telegram")
            assert job is not None
            await outbox.settle(job, Outcome("sent", f"text:{number}"))
        assert "99 fills" in await chat.say("/why")
        assert "31 fills" in await chat.say("", data="why", message=501)
        stranger = Chat(desk_of(rig), 8)
        await stranger.say("/start")
        assert "no message yet" in await stranger.say("", data="why", message=501)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b'{"update_id": 1}', 401),
        ({SECRET_HEADER: "wrong"}, b'{"update_id": 1}', 401),
        ({SECRET_HEADER: SECRET}, b"[" * 10_000, 400),
        ({SECRET_HEADER: SECRET}, b"\xff\xfe", 400),
        ({SECRET_HEADER: SECRET}, b" " * (MAX_UPDATE_BYTES + 1), 413),
        ({SECRET_HEADER: SECRET}, b'{"update_id": "x"}', 200),
        ({SECRET_HEADER: SECRET}, b'{"update_id": -1, "message": {}}', 200),
    ],
)
async def test_forged_and_broken_updates_do_nothing(
    database_dsn: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    """Only the Bot API knows the secret; what is no update is dropped."""
    server = BotApiServer(TOKEN)
    await server.start()
    bot = telegram_bot(TOKEN, server.url, 5.0)
    async with opened(database_dsn) as rig:
        receptionist = Receptionist(bot, TOKEN, desk_of(rig), Counts(rig.metrics))
        hook = WebhookServer(receptionist, SECRET, "127.0.0.1", 0)
        await hook.start()
        try:
            async with aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{hook.port}/telegram"
                async with session.post(url, data=body, headers=headers) as answer:
                    assert answer.status == status
            assert await rig.pool.fetchval("SELECT count(*) FROM notification.subscribers") == 0
            assert server.calls == type(server.calls)()
        finally:
            await hook.stop()
            await bot.session.close()
            await server.stop()


@asynccontextmanager
async def stub_on(rig: Rig) -> AsyncIterator[Any]:
    access = Access(
        authenticator(SIGNER, required=False), ("console", "telegram", "webhook"), False, 10.0
    )
    service = NotificationsService(rig.pool, rig.clock, access, lambda: None)
    server = GrpcServer(
        GrpcSection(),
        [lambda made: add_NotificationsServicer_to_server(service, made)],
        ["teleglas.notification.v1.Notifications"],
        metrics=Metrics(),
        errors=ERRORS,
    )
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
    try:
        yield NotificationsStub(channel)
    finally:
        await channel.close()
        await server.stop()


def subscriber(number: int = 1, **changes: Any) -> pb.Subscriber:
    made = pb.Subscriber(id=f"s{number}", channel="console", address="me", enabled=True)
    made.MergeFrom(pb.Subscriber(**changes))
    return made


def as_tenant(name: str) -> tuple[tuple[str, str], ...]:
    return ((METADATA_KEY, SIGNER.sign(Principal(name, "tests"))),)


async def test_grpc_lists_page_and_keep_tenants_apart(database_dsn: str) -> None:
    """What one tenant stores is not there for another one."""
    async with opened(database_dsn) as rig, stub_on(rig) as stub:
        for number in range(5):
            await stub.PutSubscriber(
                pb.PutSubscriberRequest(subscriber=subscriber(number)), metadata=as_tenant("a")
            )
            rule = pb.Rule(id=f"r{number}", subscriber_id="s0", kinds=["whale"], enabled=True)
            await stub.PutRule(pb.PutRuleRequest(rule=rule), metadata=as_tenant("a"))
        seen, token = [], ""
        for _ in range(3):
            page = await stub.ListRules(
                pb.ListRulesRequest(page_size=2, page_token=token), metadata=as_tenant("a")
            )
            seen += [rule.id for rule in page.rules]
            token = page.next_page_token
        assert (seen, token) == ([f"r{number}" for number in range(5)], "")
        other = await stub.ListSubscribers(pb.ListSubscribersRequest(), metadata=as_tenant("b"))
        assert list(other.subscribers) == []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.DeleteRule(pb.DeleteRuleRequest(id="r0"), metadata=as_tenant("b"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_grpc_deliveries_are_listed_newest_first_and_failed_ones_sent_again(
    database_dsn: str,
) -> None:
    """By status and time; what was sent cannot be sent again."""
    async with opened(database_dsn) as rig, stub_on(rig) as stub:
        who = await rig.subscribe()
        await rig.tell([card(n, ts_event=T0 + n) for n in (1, 2, 3)], [who])
        await rig.pool.execute("UPDATE notification.deliveries SET status = 5 WHERE seq = 2")
        first = await stub.ListDeliveries(pb.ListDeliveriesRequest(page_size=2))
        rest = await stub.ListDeliveries(
            pb.ListDeliveriesRequest(page_size=2, page_token=first.next_page_token)
        )
        times = [one.ts_event for one in (*first.deliveries, *rest.deliveries)]
        assert times == [T0 + 3, T0 + 2, T0 + 1]
        failed = await stub.ListDeliveries(
            pb.ListDeliveriesRequest(status=pb.DELIVERY_STATUS_FAILED)
        )
        (one,) = failed.deliveries
        again = await stub.Resend(pb.ResendRequest(delivery_id=one.id))
        assert again.delivery.status == pb.DELIVERY_STATUS_QUEUED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Resend(pb.ResendRequest(delivery_id=one.id))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


BAD: list[tuple[str, Any]] = [
    ("PutSubscriber", pb.PutSubscriberRequest()),
    ("PutSubscriber", pb.PutSubscriberRequest(subscriber=subscriber(channel="pigeon"))),
    ("PutSubscriber", pb.PutSubscriberRequest(subscriber=subscriber(time_zone="Moon/Base"))),
    ("PutSubscriber", pb.PutSubscriberRequest(subscriber=subscriber(quiet_from="25:00"))),
    ("PutSubscriber", pb.PutSubscriberRequest(subscriber=subscriber(budget_per_hour=1 << 31))),
    ("PutSubscriber", pb.PutSubscriberRequest(subscriber=subscriber(id="a:b"))),
    ("PutSubscriber", pb.PutSubscriberRequest(subscriber=subscriber(tenant_id="other"))),
    ("PutSubscriber", pb.PutSubscriberRequest(subscriber=subscriber(address="\x00"))),
    (
        "PutSubscriber",
        pb.PutSubscriberRequest(subscriber=subscriber(channel="webhook", address="http://[::1")),
    ),
    ("PutRule", pb.PutRuleRequest(rule=pb.Rule(id="r", subscriber_id="s", kinds=["cats"]))),
    ("PutRule", pb.PutRuleRequest(rule=pb.Rule(id="r", subscriber_id="s", venues=["\x00"]))),
    (
        "PutRule",
        pb.PutRuleRequest(rule=pb.Rule(id="r", subscriber_id="s", min_notional=float("nan"))),
    ),
    ("DeleteRule", pb.DeleteRuleRequest(id="\x00")),
    ("ListRules", pb.ListRulesRequest(page_token="nonsense")),
    ("ListRules", pb.ListRulesRequest(page_size=-1)),
    ("ListDeliveries", pb.ListDeliveriesRequest(ts_from=-1)),
    ("ListDeliveries", pb.ListDeliveriesRequest(subscriber_id="\x00")),
    ("Resend", pb.ResendRequest(delivery_id="a\x00b")),
    ("Resend", pb.ResendRequest()),
]


async def test_grpc_bad_requests_are_named_as_such(database_dsn: str) -> None:
    """Whatever is sent, nothing is an internal error."""
    async with opened(database_dsn) as rig, stub_on(rig) as stub:
        for method, request in BAD:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await getattr(stub, method)(request)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, (method, request)
        odd = pb.ListDeliveriesRequest(status=2_000_000)  # type: ignore[arg-type]
        assert list((await stub.ListDeliveries(odd)).deliveries) == []
