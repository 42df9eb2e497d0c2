"""Updates of the Bot API: asked for, or handed to us; read with care."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from teleglas_common.clock import Clock
from teleglas_notification.bot.desk import Answer, Desk, Heard
from teleglas_notification.channels.masking import masked
from teleglas_notification.counts import Counts

__all__ = [
    "ALLOWED",
    "MAX_UPDATE_BYTES",
    "SECRET_HEADER",
    "Poller",
    "Receptionist",
    "WebhookServer",
    "heard_of",
]

MAX_UPDATE_BYTES = 64 << 10
MAX_TEXT = 512
MAX_DATA = 64
MAX_WAIT_S = 60.0
MAX_LEFT_OUT = (1 << 63) - 1
OTHERS_TURN_S = 10.0
ALLOWED = ["message", "callback_query", "my_chat_member"]
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - a header's name

log = structlog.get_logger(__name__)


class _Chat(msgspec.Struct):
    id: int
    type: str


class _Message(msgspec.Struct):
    message_id: int
    chat: _Chat
    text: str | None = None


class _Person(msgspec.Struct):
    id: int
    is_bot: bool = False


class _Query(msgspec.Struct):
    id: str
    sender: _Person = msgspec.field(name="from")
    data: str | None = None
    message: _Message | None = None


class _Member(msgspec.Struct):
    status: str


class _Membership(msgspec.Struct):
    chat: _Chat
    new_chat_member: _Member


class _Update(msgspec.Struct):
    update_id: int
    message: _Message | None = None
    callback_query: _Query | None = None
    my_chat_member: _Membership | None = None


def heard_of(raw: Any) -> Heard | None:
    """What an update says, None where it is nothing for us: not of a private chat, of a bot, of
    another person than whose chat it is, or no update at all.
    """
    try:
        update = msgspec.convert(raw, _Update)
    except msgspec.ValidationError:
        return None
    if not 0 <= update.update_id <= MAX_LEFT_OUT:
        return None
    query, message, member = update.callback_query, update.message, update.my_chat_member
    if query is not None:
        below = query.message
        if below is None or query.sender.is_bot or below.chat.id != query.sender.id:
            return None
        if not _is_private(below.chat) or len(query.data or "") > MAX_DATA:
            return None
        return Heard(
            update.update_id, below.chat.id, "", query.id[:MAX_DATA], query.data or "",
            below.message_id,
        )  # fmt: skip
    if member is not None and _is_private(member.chat):
        is_gone = member.new_chat_member.status == "kicked"
        return Heard(update.update_id, member.chat.id, is_gone=True) if is_gone else None
    if message is not None and message.text and _is_private(message.chat):
        return Heard(update.update_id, message.chat.id, message.text[:MAX_TEXT])
    return None


def _is_private(chat: _Chat) -> bool:
    return chat.type == "private" and 0 < chat.id <= MAX_LEFT_OUT


class Receptionist:
    """Takes one update after the other and answers; an answer that cannot be sent is let go."""

    def __init__(self, bot: Any, token: str, desk: Desk, counts: Counts) -> None:
        self._bot = bot
        self._token = token
        self._desk = desk
        self._counts = counts

    async def take(self, raw: Any) -> None:
        heard = heard_of(raw)
        if heard is None:
            self._counts.update("ignored")
            return
        answer = await self._desk.hear(heard)
        self._counts.update("handled" if answer is not None else "silent")
        try:
            async with asyncio.timeout(MAX_WAIT_S / 4):
                await self._answer(heard, answer)
        except Exception as error:  # noqa: BLE001 - an answer is worth less than the next update
            self._counts.update("unanswered")
            log.warning("no answer", cause=self._told(error))

    async def _answer(self, heard: Heard, answer: Answer | None) -> None:
        if heard.query_id:
            await self._bot.answer_callback_query(heard.query_id)
        if answer is not None:
            await self._bot.send_message(heard.chat, answer.html[:4_096], parse_mode="HTML")

    def _told(self, error: BaseException) -> str:
        return masked(f"{type(error).__name__}: {error}", self._token)[:200]


class Poller:
    """Asks for updates, one question at a time: the Bot API answers only one replica."""

    def __init__(
        self,
        bot: Any,
        token: str,
        receptionist: Receptionist,
        clock: Clock,
        *,
        poll_s: int,
        is_ours: Callable[[], Awaitable[bool]],
    ) -> None:
        self._bot = bot
        self._token = token
        self._receptionist = receptionist
        self._clock = clock
        self._poll_s = poll_s
        self._is_ours = is_ours

    async def run(self) -> None:
        """Ends by being cancelled."""
        offset, failures = 0, 0
        greeted = False
        while True:
            try:
                if not await self._is_ours():
                    await self._clock.sleep(OTHERS_TURN_S)
                    continue
                if not greeted:
                    await self._greet()
                    greeted = True
                updates = await self._bot.get_updates(
                    offset=offset,
                    timeout=self._poll_s,
                    allowed_updates=ALLOWED,
                    request_timeout=self._poll_s + 10,
                )
                for update in updates:
                    await self._receptionist.take(update)
                    offset = max(offset, int(update["update_id"]) + 1)
                failures = 0
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever the API does, we ask again
                failures += 1
                if failures in (1, 10, 100):
                    told = masked(f"{type(error).__name__}: {error}", self._token)[:200]
                    log.warning("no updates", cause=told, failures=failures)
                retry_after = getattr(error, "retry_after", None)
                wait_s = float(retry_after or min(MAX_WAIT_S, 2.0 ** min(failures, 6) / 2))
                await self._clock.sleep(min(wait_s, 3_600.0))

    async def _greet(self) -> None:
        """Polling works only without a webhook; the menu of commands is told along the way."""
        await self._bot.delete_webhook()
        await self._bot.set_my_commands(bot_commands())


def bot_commands() -> list[Any]:
    """The menu that Telegram shows."""
    from aiogram.types import BotCommand

    told = {
        "watch": "be told of an instrument",
        "unwatch": "remove a rule",
        "rules": "what you watch",
        "mute": "silence for a while",
        "quiet": "quiet hours",
        "digest": "one message an hour",
        "status": "how things stand",
        "why": "the receipt of the last message",
    }
    return [BotCommand(command=name, description=text) for name, text in told.items()]


class WebhookServer:
    """Takes updates from the Bot API: only with the secret, only small ones."""

    def __init__(self, receptionist: Receptionist, secret: str, host: str, port: int) -> None:
        self._receptionist = receptionist
        self._secret = secret.encode()
        self._host = host
        self._port = port
        self._runner: Any = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def port(self) -> int:
        if self._runner is None:
            raise RuntimeError("expected a started server")
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        from aiohttp import web

        app = web.Application(client_max_size=MAX_UPDATE_BYTES)
        app.router.add_post("/telegram", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: Any) -> Any:
        from aiohttp import web

        given = request.headers.get(SECRET_HEADER, "").encode()
        if not hmac.compare_digest(given, self._secret):
            return web.Response(status=401)
        try:
            raw = msgspec.json.decode(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return web.Response(status=400)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MAX_WAIT_S / 2), self._one_at_a_time:
                await self._receptionist.take(raw)
                return web.Response()
        return web.Response(status=503)
