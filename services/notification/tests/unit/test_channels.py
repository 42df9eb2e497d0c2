"""Every channel behaves in one way, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
import pytest_asyncio
from aiohttp import web
from notification_rig import TOKEN, telegram_on

from teleglas_common.clock import SystemClock
from teleglas_notification.channels.console import ConsoleChannel
from teleglas_notification.channels.webhook import WebhookChannel, secret_of, signature
from teleglas_notification.pictures import draw
from teleglas_notification.ports import (
    BlockedError,
    Channel,
    Composed,
    RefusedError,
    RetryLaterError,
    TransientError,
)
from teleglas_sim.botapi.server import BotApiServer

MASTER = "a-master-secret-for-tests"
MESSAGE = Composed("<b>BTC</b> &amp; more", {"type": "whale.alert", "text": "BTC & more"})
BETTER = Composed("<b>BTC</b> better", {"type": "whale.updated", "text": "BTC better"})


class World(Protocol):
    """One channel and what its receiver sees."""

    channel: Channel
    address: str

    def seen(self) -> list[str]: ...
    def misbehave(self, how: str) -> None: ...


@dataclass
class ConsoleWorld:
    channel: Channel
    out: io.StringIO
    address: str = "me"

    def seen(self) -> list[str]:
        return self.out.getvalue().splitlines()

    def misbehave(self, how: str) -> None:
        del how
        pytest.skip("standard output does nothing wrong in this way")


@dataclass
class TelegramWorld:
    channel: Channel
    server: BotApiServer
    address: str = "1001"

    def seen(self) -> list[str]:
        return [one.text for one in self.server.chats.messages.values()]

    def misbehave(self, how: str) -> None:
        if how == "blocked":
            self.server.chats.blocked.add(1001)
        elif how == "refused":
            self.server.chats.known.clear()
            self.address = "nobody"
        else:
            kinds = {"later": "too_many", "error": "server_error", "cut": "cut_taken"}
            self.server.faults.order({"kinds": [kinds[how]], "retry_after_s": 7})


@dataclass
class WebhookWorld:
    """Remembers bodies and headers; answers as it is told."""

    channel: Channel
    address: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    bodies: list[dict[str, Any]] = field(default_factory=list)
    heard: list[Any] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.heard.append((dict(request.headers), raw))
        self.bodies.append(json.loads(raw))
        if self.cut and request.transport is not None:
            request.transport.abort()
        return web.Response(status=self.status, headers=self.headers)

    def seen(self) -> list[str]:
        return [body["text"] for body in self.bodies]

    def misbehave(self, how: str) -> None:
        self.cut = how == "cut"
        self.status = {"blocked": 410, "refused": 400, "later": 429, "error": 500}.get(how, 200)
        self.headers = {"Retry-After": "7"} if how == "later" else {}


@asynccontextmanager
async def webhook_world(*, allow_loopback: bool = True) -> AsyncIterator[WebhookWorld]:
    channel = WebhookChannel(MASTER, SystemClock(), timeout_s=5.0, allow_loopback=allow_loopback)
    world = WebhookWorld(channel)
    app = web.Application()
    app.router.add_post("/hook", world.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    world.address = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await channel.start()
    try:
        yield world
    finally:
        await channel.stop()
        await runner.cleanup()


@pytest_asyncio.fixture(params=["console", "telegram", "webhook"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        if request.param == "console":
            out = io.StringIO()
            yield ConsoleWorld(ConsoleChannel(out), out)
        elif request.param == "webhook":
            yield await stack.enter_async_context(webhook_world())
        else:
            server = BotApiServer(TOKEN)
            server.chats.known.add(1001)
            await server.start()
            stack.push_async_callback(server.stop)
            yield TelegramWorld(await stack.enter_async_context(telegram_on(server)), server)


async def test_channel_new_message_arrives_and_can_be_found_again(world: World) -> None:
    """A reference is never empty, and an edit shows the better text."""
    ref = await world.channel.send(world.address, MESSAGE, "m1")
    assert ref
    await world.channel.edit(world.address, ref, BETTER, "m1")
    assert "better" in world.seen()[-1]


async def test_channel_same_edit_again_is_no_error(world: World) -> None:
    """After a crash an edit may be made twice."""
    ref = await world.channel.send(world.address, MESSAGE, "m1")
    for _ in range(2):
        await world.channel.edit(world.address, ref, BETTER, "m1")
    assert "better" in world.seen()[-1]


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("blocked", BlockedError),
        ("refused", RefusedError),
        ("later", RetryLaterError),
        ("error", TransientError),
        ("cut", TransientError),
    ],
)
async def test_channel_failure_is_named_in_our_terms(
    world: World, how: str, error: type[Exception]
) -> None:
    """What the dispatcher does next depends on these names alone; the next message gets through."""
    world.misbehave(how)
    with pytest.raises(error) as caught:
        await world.channel.send(world.address, MESSAGE, "m1")
    if isinstance(caught.value, RetryLaterError):
        assert caught.value.after_s == 7
    if how == "cut":
        assert isinstance(caught.value, TransientError)
        assert caught.value.unconfirmed
    assert TOKEN not in str(caught.value)


async def test_channel_that_nobody_answers_has_taken_nothing(world: World) -> None:
    """A refused connection is no message of unknown end."""
    if isinstance(world, ConsoleWorld):
        pytest.skip("standard output needs no connection")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if isinstance(world, TelegramWorld):
        await world.server.stop()
    else:
        world.address = f"http://127.0.0.1:{port}/hook"
    with pytest.raises(TransientError) as caught:
        await world.channel.send(world.address, MESSAGE, "m1")
    assert not caught.value.unconfirmed
    assert TOKEN not in str(caught.value)


async def test_webhook_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks libraries, and a call signed in that way."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    async with webhook_world() as world:
        await world.channel.send(world.address, MESSAGE, "m1")
        headers, body = world.heard[0]
        expected = signature(
            secret_of(MASTER, world.address),
            headers["webhook-id"],
            int(headers["webhook-timestamp"]),
            body,
        )
        assert headers["webhook-signature"] == expected
        assert headers["webhook-id"] == "m1"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1/x", "https://localhost:1/x", "https://[::1]:1/x", "https://10.0.0.1/x",
        "https://172.16.3.4/x", "https://192.168.1.1/x", "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/x", "https://[fe80::1]/x", "https://[fd00::1]/x", "https://0.0.0.0/x",
        "https://[::ffff:127.0.0.1]/x", "https://[64:ff9b::7f00:1]/x", "https://2130706433/x",
        "https://0x7f.1/x", "http://example.com/x", "file:///etc/passwd", "https://user:p@x.com/",
        "https://224.0.0.1/x",
    ],
)  # fmt: skip
async def test_webhook_to_an_inner_address_is_refused_for_good(url: str) -> None:
    """Loopback, private, link-local and their disguises: no try, no retry."""
    async with webhook_world(allow_loopback=False) as world:
        with pytest.raises(RefusedError):
            await world.channel.send(url, MESSAGE, "m1")
        assert world.heard == []


async def test_webhook_redirect_to_an_inner_address_is_refused() -> None:
    """The second address is checked as the first one."""
    async with webhook_world() as world:
        world.status, world.headers = 307, {"Location": "http://169.254.169.254/latest"}
        with pytest.raises(RefusedError, match="public address"):
            await world.channel.send(world.address, MESSAGE, "m1")


async def test_webhook_redirects_end() -> None:
    """A receiver that sends us round in circles is given up."""
    async with webhook_world() as world:
        world.status, world.headers = 308, {"Location": "/hook"}
        with pytest.raises(RefusedError, match="redirects"):
            await world.channel.send(world.address, MESSAGE, "m1")
        assert len(world.heard) == 4


async def test_telegram_asks_whether_the_api_is_there_before_it_risks_a_repeat() -> None:
    """After a cut call only getMe goes out until that is answered."""
    server = BotApiServer(TOKEN)
    server.chats.known.add(1001)
    await server.start()
    try:
        async with telegram_on(server) as channel:
            server.faults.order({"kinds": ["cut_taken"], "methods": ["sendMessage"], "count": 1})
            with pytest.raises(TransientError):
                await channel.send("1001", MESSAGE, "m1")
            server.faults.order({"kinds": ["bad_gateway"], "methods": ["getMe"], "count": 2})
            for _ in range(2):
                with pytest.raises(TransientError) as caught:
                    await channel.send("1001", MESSAGE, "m1")
                assert not caught.value.unconfirmed
            await channel.send("1001", MESSAGE, "m1")
        methods = [call["method"] for call in server.calls]
        assert methods == ["sendMessage", "getMe", "getMe", "getMe", "sendMessage"]
    finally:
        await server.stop()


async def test_telegram_picture_is_sent_and_its_caption_edited() -> None:
    """A picture with a whale is a real PNG."""
    candles = [(at * 60, 10.0, 12.0, 9.0, 11.0) for at in range(30)]
    picture = await asyncio.to_thread(draw, candles, 25 * 60, 11.5, True)
    server = BotApiServer(TOKEN)
    server.chats.known.add(1001)
    await server.start()
    try:
        async with telegram_on(server) as channel:
            ref = await channel.send("1001", Composed("photo", {}, picture=picture), "m1")
            assert ref.startswith("photo:")
            await channel.edit("1001", ref, BETTER, "m1")
            (message,) = server.chats.messages.values()
            assert message.photo == picture
            assert picture.startswith(b"\x89PNG")
            assert message.text == BETTER.html
    finally:
        await server.stop()
