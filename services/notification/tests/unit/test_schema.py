"""Every call that goes out is one of the Bot API, as its own description has it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from notification_rig import TOKEN, telegram_on
from notification_samples import card

from teleglas_common.clock import SystemClock
from teleglas_common.telemetry import Metrics
from teleglas_common.testing.realdata import realdata
from teleglas_notification.bot.desk import Answer, Heard
from teleglas_notification.bot.updates import ALLOWED, Poller, Receptionist, bot_commands
from teleglas_notification.channels.telegram import TelegramChannel
from teleglas_notification.counts import Counts
from teleglas_notification.domain.people import Subscriber
from teleglas_notification.ports import Job
from teleglas_notification.sending import compose
from teleglas_sim.botapi.chats import NEWCOMER
from teleglas_sim.botapi.server import BotApiServer


@pytest.fixture
def methods() -> dict[str, Any]:
    """Methods by name, with their parameters."""
    schema = json.loads(realdata("telegram", "schema.json").read_text(encoding="utf-8"))
    return {
        child["name"]: child
        for group in schema["items"]
        for child in group["children"]
        if child["name"][:1].islower()
    }


@pytest_asyncio.fixture
async def server() -> AsyncIterator[BotApiServer]:
    made = BotApiServer(TOKEN)
    made.chats.greet()
    await made.start()
    yield made
    await made.stop()


class FakeDesk:
    """Answers everything."""

    async def hear(self, heard: Heard) -> Answer:
        return Answer(f"heard {heard.text}{heard.data}")


def faults(methods: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> list[str]:
    """What a call has wrong by the schema: unknown, missing or mistyped parameters."""
    if name not in methods:
        return [f"no method {name}"]
    known = {one["name"]: one for one in methods[name]["annotations"]}
    found = [f"{name}.{key} is unknown" for key in given if key not in known]
    for key, one in known.items():
        if one.get("required") and key not in given:
            found.append(f"{name}.{key} is missing")
        is_number = "Integer" in str(one["type"]) and "String" not in str(one["type"])
        if key in given and is_number and not str(given[key]).lstrip("-").isdigit():
            found.append(f"{name}.{key} is no number: {given[key]!r}")
    for key, limit in (("text", 4_096), ("caption", 1_024)):
        if len(str(given.get(key, ""))) > limit:
            found.append(f"{name}.{key} is too long")
    return found


async def drive(channel: TelegramChannel, server: BotApiServer, bot: Any) -> None:
    """Make every kind of call that the service makes."""
    who = Subscriber("default", "s1", "telegram", str(NEWCOMER))
    job = Job("m1", "alert", 1, "", 1, 0, who, (card(),), (), 1)
    for picture in (None, b"\x89PNG"):
        ref = await channel.send(who.address, compose(job, picture), "m1")
        better = Job("m1", "burst", 2, ref, 1, 0, who, (card(),), (), 1)
        await channel.edit(who.address, ref, compose(better), "m1")
    receptionist = Receptionist(bot, TOKEN, FakeDesk(), Counts(Metrics()))  # type: ignore[arg-type]
    poller = Poller(bot, TOKEN, receptionist, SystemClock(), poll_s=1, is_ours=_yes)
    await poller._greet()
    message = next(one for one in server.chats.messages.values() if one.from_bot)
    server.chats.press(NEWCOMER, message.id, "why")
    for update in await bot.get_updates(offset=0, timeout=1, allowed_updates=ALLOWED):
        await receptionist.take(update)
    await bot.set_webhook("https://example.com/telegram", secret_token="a" * 16)
    await bot.get_me()
    assert bot_commands()


async def _yes() -> bool:
    return True


async def test_every_call_is_valid_against_the_schema(
    methods: dict[str, Any], server: BotApiServer
) -> None:
    """Methods, required parameters, types and lengths."""
    async with telegram_on(server) as channel:
        await drive(channel, server, channel._bot)
    seen = {call["method"] for call in server.calls}
    assert seen == {
        "sendMessage", "sendPhoto", "editMessageText", "editMessageCaption", "deleteWebhook",
        "setMyCommands", "getUpdates", "answerCallbackQuery", "setWebhook", "getMe",
    }  # fmt: skip
    assert [call for call in server.calls if call["code"] != 200] == []
    found = [
        fault for call in server.calls for fault in faults(methods, call["method"], call["params"])
    ]
    assert found == []


async def test_schema_check_sees_what_is_wrong(methods: dict[str, Any]) -> None:
    """The check above would find an unknown, a missing and a mistyped parameter."""
    assert faults(methods, "sendMessage", {"chat_id": "1"}) == ["sendMessage.text is missing"]
    assert faults(methods, "getMe", {"colour": "red"}) == ["getMe.colour is unknown"]
    given = {"offset": "soon"}
    assert faults(methods, "getUpdates", given) == ["getUpdates.offset is no number: 'soon'"]
