"""The chats that the server holds, and the updates that wait for the bot."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

__all__ = ["NEWCOMER", "ApiError", "Chats", "Message"]

NEWCOMER = 1001
"""The chat of whoever opens the page."""
EPOCH_S = 1_735_689_600
"""Numbers begin at the seconds since then, so that those of a server that was started anew are new
to a bot that remembers.
"""
MAX_MESSAGES = 20_000
MAX_UPDATES = 1_000


class ApiError(Exception):
    """An answer that is not ok."""

    def __init__(self, code: int, description: str, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.retry_after = retry_after


@dataclass
class Message:
    """What stands in a chat; `edits` counts how often it was changed."""

    chat: int
    id: int
    at_s: int
    from_bot: bool
    text: str
    is_photo: bool = False
    photo: bytes | None = None
    keyboard: list[list[dict[str, Any]]] = field(default_factory=list)
    edits: int = 0


class Chats:
    """Messages by number over all chats, as one bot sees them."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.updates: deque[dict[str, Any]] = deque(maxlen=MAX_UPDATES)
        self.blocked: set[int] = set()
        self.known: set[int] = set()
        self.arrived = asyncio.Event()
        self.changes = 0
        self._change = asyncio.Event()
        self._next_message = self._next_update = max(1, int(time.time()) - EPOCH_S)

    def greet(self) -> None:
        """Somebody opens a chat."""
        self.say(NEWCOMER, "/start")

    def say(self, chat: int, text: str) -> int:
        """A person writes to the bot; the update's id."""
        self.known.add(chat)
        self.blocked.discard(chat)
        message = self._add(chat, text, from_bot=False)
        update = {"message": self.shown(message)}
        return self._push(update)

    def press(self, chat: int, message_id: int, data: str) -> int:
        """A person presses an inline button; the update's id."""
        message = self.messages.get(message_id)
        if message is None or message.chat != chat:
            raise ApiError(400, "Bad Request: message not found")
        query = {
            "id": str(self._next_update),
            "from": _person(chat),
            "message": self.shown(message),
            "chat_instance": str(chat),
            "data": data,
        }
        return self._push({"callback_query": query})

    def post(self, chat: int, text: str, photo: bytes | None, keyboard: Any) -> Message:
        """The bot writes."""
        self._check(chat)
        message = self._add(chat, text, from_bot=True)
        message.photo, message.is_photo = photo, photo is not None
        message.keyboard = keyboard or []
        return message

    def edit(self, chat: int, message_id: int, text: str | None, keyboard: Any) -> Message:
        """The bot changes what it wrote."""
        self._check(chat)
        message = self.messages.get(message_id)
        if message is None or message.chat != chat or not message.from_bot:
            raise ApiError(400, "Bad Request: message to edit not found")
        same = text in (None, message.text) and (keyboard or []) == message.keyboard
        if same:
            raise ApiError(
                400,
                "Bad Request: message is not modified: specified new message content and reply"
                " markup are exactly the same as a current content",
            )
        if text is not None:
            message.text = text
        message.keyboard = keyboard or []
        message.edits += 1
        self._changed()
        return message

    async def pending(self, offset: int, limit: int, timeout_s: float) -> list[dict[str, Any]]:
        """Updates from `offset` on; those before it are forgotten."""
        while self.updates and self.updates[0]["update_id"] < offset:
            self.updates.popleft()
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not self.updates:
            self.arrived.clear()
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return []
            try:
                await asyncio.wait_for(self.arrived.wait(), left_s)
            except TimeoutError:
                return []
        return list(self.updates)[:limit]

    def shown(self, message: Message) -> dict[str, Any]:
        """A Message as the Bot API has it."""
        found: dict[str, Any] = {
            "message_id": message.id,
            "date": message.at_s,
            "chat": {"id": message.chat, "type": "private", "first_name": "Newcomer"},
        }
        if message.from_bot:
            found["from"] = {"id": 1, "is_bot": True, "first_name": "Teleglas"}
        else:
            found["from"] = _person(message.chat)
        if message.is_photo:
            found["caption"] = message.text
            found["photo"] = [
                {"file_id": f"p{message.id}", "file_unique_id": f"u{message.id}", "width": 480,
                 "height": 240, "file_size": len(message.photo or b"")}
            ]  # fmt: skip
        else:
            found["text"] = message.text
        if message.keyboard:
            found["reply_markup"] = {"inline_keyboard": message.keyboard}
        return found

    def _check(self, chat: int) -> None:
        if chat in self.blocked:
            raise ApiError(403, "Forbidden: bot was blocked by the user")
        if chat not in self.known:
            raise ApiError(400, "Bad Request: chat not found")

    def _add(self, chat: int, text: str, *, from_bot: bool) -> Message:
        message = Message(chat, self._next_message, int(time.time()), from_bot, text)
        self._next_message += 1
        self.messages[message.id] = message
        while len(self.messages) > MAX_MESSAGES:
            del self.messages[next(iter(self.messages))]
        self._changed()
        return message

    def _push(self, update: dict[str, Any]) -> int:
        number = self._next_update
        self._next_update += 1
        self.updates.append({"update_id": number, **update})
        self.arrived.set()
        return number

    async def changed_since(self, changes: int, timeout_s: float) -> None:
        """Return once there were more changes than that, or when the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.changes <= changes:
                    await self._change.wait()

    def _changed(self) -> None:
        self.changes += 1
        self._change.set()
        self._change = asyncio.Event()


def _person(chat: int) -> dict[str, Any]:
    return {"id": chat, "is_bot": False, "first_name": "Newcomer", "language_code": "en"}
