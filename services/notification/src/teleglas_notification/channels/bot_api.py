"""aiogram, as light as it can be had. Import this module only where there is a token.

aiogram builds a validator for each of its 400 models when it is imported; each holds the closure of
all that it refers to, which takes more memory than the rest of this service. We build those of the
calls that we make, and read answers ourselves (docs/adr/0073).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal, Optional, Union

import msgspec
import pydantic

__all__ = ["telegram_bot"]


def _without_rebuilding(_: Any, /, **__: Any) -> None:
    """Stands in for `model_rebuild` while aiogram is imported."""


_kept = pydantic.BaseModel.__dict__["model_rebuild"]
setattr(pydantic.BaseModel, "model_rebuild", classmethod(_without_rebuilding))  # noqa: B010
try:
    from aiogram import Bot, exceptions, methods, types
    from aiogram.client.default import Default
    from aiogram.client.session.aiohttp import AiohttpSession
    from aiogram.client.telegram import TelegramAPIServer
finally:
    setattr(pydantic.BaseModel, "model_rebuild", _kept)  # noqa: B010

CALLS = (
    methods.AnswerCallbackQuery,
    methods.DeleteWebhook,
    methods.EditMessageCaption,
    methods.EditMessageText,
    methods.GetMe,
    methods.GetUpdates,
    methods.SendMessage,
    methods.SendPhoto,
    methods.SetMyCommands,
    methods.SetWebhook,
    types.BotCommand,
    types.InlineKeyboardButton,
    types.InlineKeyboardMarkup,
)
_names: dict[str, Any] = {
    "List": list,
    "Optional": Optional,
    "Union": Union,
    "Literal": Literal,
    "Default": Default,
    **{name: getattr(types, name) for name in types.__all__},
}
for _call in CALLS:
    _call.model_rebuild(_types_namespace=_names)


class _Parameters(msgspec.Struct):
    retry_after: float | None = None


class _Answer(msgspec.Struct):
    ok: bool
    result: Any = None
    description: str = ""
    parameters: _Parameters | None = None


_FAILURES: dict[int, type[exceptions.TelegramAPIError]] = {
    400: exceptions.TelegramBadRequest,
    401: exceptions.TelegramUnauthorizedError,
    403: exceptions.TelegramForbiddenError,
    404: exceptions.TelegramNotFound,
    409: exceptions.TelegramConflictError,
    413: exceptions.TelegramEntityTooLarge,
}


class LeanSession(AiohttpSession):
    """Gives results as the API wrote them; raises what aiogram raises."""

    def check_response(self, bot: Any, method: Any, status_code: int, content: str) -> Any:
        del bot
        try:
            answer = msgspec.json.decode(content, type=_Answer)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            if status_code >= 500:
                raise exceptions.TelegramServerError(method, f"answered {status_code}") from None
            raise exceptions.ClientDecodeError("expected an answer", error, None) from None
        if 200 <= status_code < 300 and answer.ok:
            return SimpleNamespace(result=answer.result)
        text = answer.description
        if answer.parameters is not None and answer.parameters.retry_after:
            raise exceptions.TelegramRetryAfter(method, text, int(answer.parameters.retry_after))
        if status_code >= 500:
            raise exceptions.TelegramServerError(method, text)
        raise _FAILURES.get(status_code, exceptions.TelegramAPIError)(method, text)


def telegram_bot(token: str, api_url: str, timeout_s: float) -> Any:
    """A bot whose calls give JSON objects; it sends nothing by itself."""
    server = TelegramAPIServer.from_base(api_url.rstrip("/"))
    return Bot(token, session=LeanSession(api=server, timeout=timeout_s))
