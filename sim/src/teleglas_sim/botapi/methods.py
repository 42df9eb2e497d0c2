"""The methods of the Bot API that the server answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from teleglas_sim.botapi.chats import ApiError, Chats

__all__ = ["METHODS", "answer"]

MAX_TEXT = 4_096
MAX_CAPTION = 1_024
Params = Mapping[str, Any]


async def get_me(chats: Chats, params: Params) -> Any:
    del chats, params
    return {
        "id": 1, "is_bot": True, "first_name": "Teleglas", "username": "teleglas_local_bot",
        "can_join_groups": False, "can_read_all_group_messages": False,
        "supports_inline_queries": False,
    }  # fmt: skip


async def get_updates(chats: Chats, params: Params) -> Any:
    limit = min(100, max(1, _number(params, "limit", 100)))
    timeout_s = min(50, max(0, _number(params, "timeout", 0)))
    return await chats.pending(_number(params, "offset", 0), limit, timeout_s)


async def send_message(chats: Chats, params: Params) -> Any:
    text = _text(params, "text", MAX_TEXT)
    return chats.shown(chats.post(_chat(params), text, None, _keyboard(params)))


async def send_photo(chats: Chats, params: Params) -> Any:
    photo = params.get("photo")
    if not isinstance(photo, bytes) or not photo:
        raise ApiError(400, "Bad Request: there is no photo in the request")
    caption = _text(params, "caption", MAX_CAPTION, least=0)
    return chats.shown(chats.post(_chat(params), caption, photo, _keyboard(params)))


async def edit_message_text(chats: Chats, params: Params) -> Any:
    text = _text(params, "text", MAX_TEXT)
    message = _edited(chats, params, is_photo=False)
    return chats.shown(chats.edit(_chat(params), message, text, _keyboard(params)))


async def edit_message_caption(chats: Chats, params: Params) -> Any:
    caption = _text(params, "caption", MAX_CAPTION, least=0)
    message = _edited(chats, params, is_photo=True)
    return chats.shown(chats.edit(_chat(params), message, caption, _keyboard(params)))


async def edit_message_reply_markup(chats: Chats, params: Params) -> Any:
    message = _number(params, "message_id", 0)
    return chats.shown(chats.edit(_chat(params), message, None, _keyboard(params)))


async def edit_message_media(chats: Chats, params: Params) -> Any:
    media = _object(params, "media") or {}
    caption = str(media.get("caption", ""))
    if len(caption) > MAX_CAPTION:
        raise ApiError(400, "Bad Request: message caption is too long")
    message = _edited(chats, params, is_photo=True)
    return chats.shown(chats.edit(_chat(params), message, caption, _keyboard(params)))


async def answer_callback_query(chats: Chats, params: Params) -> Any:
    del chats
    if not params.get("callback_query_id"):
        raise ApiError(400, "Bad Request: query is too old and response timeout expired")
    return True


async def always(chats: Chats, params: Params) -> Any:
    del chats, params
    return True


METHODS = {
    "getMe": get_me,
    "getUpdates": get_updates,
    "sendMessage": send_message,
    "sendPhoto": send_photo,
    "editMessageText": edit_message_text,
    "editMessageCaption": edit_message_caption,
    "editMessageReplyMarkup": edit_message_reply_markup,
    "editMessageMedia": edit_message_media,
    "answerCallbackQuery": answer_callback_query,
    "setMyCommands": always,
    "setWebhook": always,
    "deleteWebhook": always,
}
_by_name = {name.lower(): method for name, method in METHODS.items()}


async def answer(chats: Chats, method: str, params: Params) -> Any:
    """The result of a call; ApiError says what was wrong with it."""
    found = _by_name.get(method.lower())
    if found is None:
        raise ApiError(404, "Not Found: method not found")
    return await found(chats, params)


def _number(params: Params, name: str, default: int) -> int:
    value = params.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ApiError(400, f"Bad Request: {name} must be a number") from None


def _chat(params: Params) -> int:
    if "chat_id" not in params:
        raise ApiError(400, "Bad Request: chat_id is empty")
    return _number(params, "chat_id", 0)


def _text(params: Params, name: str, limit: int, *, least: int = 1) -> str:
    text = params.get(name, "")
    if not isinstance(text, str) or len(text.strip()) < least:
        raise ApiError(400, f"Bad Request: message {name} is empty")
    if len(text.encode("utf-16-le")) // 2 > limit:
        raise ApiError(400, f"Bad Request: message {name} is too long")
    return text


def _object(params: Params, name: str) -> Any:
    raw = params.get(name)
    if raw in (None, ""):
        return None
    try:
        found = json.loads(raw) if isinstance(raw, str) else raw
    except ValueError:
        raise ApiError(400, f"Bad Request: can't parse {name} JSON object") from None
    if not isinstance(found, dict):
        raise ApiError(400, f"Bad Request: object expected as {name}")
    return found


def _keyboard(params: Params) -> Any:
    markup = _object(params, "reply_markup")
    if markup is None:
        return []
    rows = markup.get("inline_keyboard", [])
    for row in rows:
        for button in row:
            if len(str(button.get("callback_data", "")).encode()) > 64:
                raise ApiError(400, "Bad Request: BUTTON_DATA_INVALID")
    return rows


def _edited(chats: Chats, params: Params, *, is_photo: bool) -> int:
    number = _number(params, "message_id", 0)
    message = chats.messages.get(number)
    if message is not None and message.is_photo != is_photo:
        raise ApiError(400, "Bad Request: there is no text in the message to edit")
    return number
