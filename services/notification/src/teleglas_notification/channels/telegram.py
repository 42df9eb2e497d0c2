"""Messages by the Telegram Bot API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog

from teleglas_notification.channels.masking import masked
from teleglas_notification.ports import (
    BlockedError,
    Composed,
    RefusedError,
    RetryLaterError,
    TransientError,
)

__all__ = ["TelegramChannel"]

MAX_RETRY_AFTER_S = 3_600.0
UNTOUCHED = ("message is not modified",)
GONE = ("message to edit not found", "message can't be edited", "message_id_invalid")
NOBODY = ("chat not found", "user is deactivated", "peer_id_invalid", "bot was blocked")

T = TypeVar("T")
log = structlog.get_logger(__name__)


class TelegramChannel:
    """A reference is `text:ID` or `photo:ID`. After a call that failed, the API is asked whether it
    is there at all before a message is risked again.
    """

    name = "telegram"
    takes_pictures = True

    def __init__(self, bot: Any, token: str, timeout_s: float) -> None:
        self._bot = bot
        self._token = token
        self._timeout_s = timeout_s
        self._in_doubt = False

    async def start(self) -> None:
        """The session opens with the first call."""

    async def stop(self) -> None:
        await self._bot.session.close()

    async def send(self, address: str, message: Composed, message_id: str) -> str:
        del message_id
        chat = _chat(address)
        await self._clear_doubt()
        keyboard = _keyboard(message)
        if message.picture is None:
            sent = await self._call(
                self._bot.send_message(chat, message.html, parse_mode="HTML", reply_markup=keyboard)
            )
            return f"text:{_number(sent)}"
        from aiogram.types import BufferedInputFile

        photo = BufferedInputFile(message.picture, "candles.png")
        sent = await self._call(
            self._bot.send_photo(
                chat, photo, caption=message.html, parse_mode="HTML", reply_markup=keyboard
            )
        )
        return f"photo:{_number(sent)}"

    async def edit(self, address: str, ref: str, message: Composed, message_id: str) -> None:
        del message_id
        chat = _chat(address)
        kind, _, number = ref.partition(":")
        await self._clear_doubt()
        where = {"chat_id": chat, "message_id": int(number), "reply_markup": _keyboard(message)}
        try:
            if kind == "photo":
                await self._call(
                    self._bot.edit_message_caption(**where, caption=message.html, parse_mode="HTML")
                )
            else:
                await self._call(
                    self._bot.edit_message_text(message.html, **where, parse_mode="HTML")
                )
        except RefusedError as error:
            if not any(text in str(error).lower() for text in UNTOUCHED + GONE):
                raise

    async def _clear_doubt(self) -> None:
        if not self._in_doubt:
            return
        try:
            await self._call(self._bot.get_me())
        except TransientError as error:
            raise TransientError(f"still away: {error}") from None
        self._in_doubt = False

    async def _call(self, call: Awaitable[T]) -> T:
        """The end of a call in our terms. Whatever went out and was not answered in a way that we
        understand may have been taken.
        """
        from aiogram import exceptions as failures

        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except failures.TelegramRetryAfter as error:
            after_s = min(MAX_RETRY_AFTER_S, max(0.1, float(error.retry_after)))
            raise RetryLaterError(after_s, everyone=True) from None
        except failures.TelegramForbiddenError as error:
            raise BlockedError(self._told(error)) from None
        except (failures.TelegramServerError, failures.TelegramNetworkError, TimeoutError) as error:
            self._in_doubt = True
            raise TransientError(self._told(error), unconfirmed=not _was_refused(error)) from None
        except (failures.ClientDecodeError, failures.TelegramConflictError) as error:
            self._in_doubt = True
            raise TransientError(type(error).__name__, unconfirmed=True) from None
        except (failures.TelegramUnauthorizedError, failures.TelegramNotFound) as error:
            self._in_doubt = True
            raise TransientError(f"is the token right? {self._told(error)}") from None
        except failures.TelegramAPIError as error:
            text = self._told(error)
            if any(cause in text.lower() for cause in NOBODY):
                raise BlockedError(text) from None
            raise RefusedError(text) from None
        except OSError as error:
            self._in_doubt = True
            raise TransientError(self._told(error), unconfirmed=True) from None

    def _told(self, error: BaseException) -> str:
        return masked(f"{type(error).__name__}: {error}", self._token)[:200]


def _was_refused(error: BaseException) -> bool:
    """Whether the connection was never made, so that nothing can have been taken."""
    from aiohttp import ClientConnectorError

    return isinstance(error.__cause__, ClientConnectorError)


def _number(sent: Any) -> int:
    """Of the message that an answer tells of."""
    number = sent.get("message_id") if isinstance(sent, dict) else None
    if not isinstance(number, int) or number <= 0:
        raise TransientError("expected a message in the answer", unconfirmed=True)
    return number


def _chat(address: str) -> int:
    try:
        return int(address)
    except ValueError:
        raise RefusedError(f"expected a chat's number, was {address[:32]!r}") from None


def _keyboard(message: Composed) -> Any:
    if not message.buttons:
        return None
    from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

    row = [InlineKeyboardButton(text=label, callback_data=data) for label, data in message.buttons]
    return InlineKeyboardMarkup(inline_keyboard=[row])
