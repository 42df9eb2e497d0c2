"""The HTTP server: the Bot API, the page, and the controls of tests."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections import deque
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, web

from teleglas_sim.botapi.chats import NEWCOMER, ApiError, Chats, Message
from teleglas_sim.botapi.faults import Fault, Faults
from teleglas_sim.botapi.methods import answer

__all__ = ["BotApiServer"]

PAGE = Path(__file__).parent / "chat.html"
MAX_BODY_BYTES = 12 << 20
MAX_CALLS = 50_000
MAX_SAID = 4_096
SHOWN = 200
WAIT_S = 20.0
PUSH_TIMEOUT_S = 5.0
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - a header's name


class BotApiServer:
    """`calls` are all calls that came, newest last, with the code that each was answered with."""

    def __init__(self, token: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.token = token
        self.chats = Chats()
        self.faults = Faults()
        self.calls: deque[dict[str, Any]] = deque(maxlen=MAX_CALLS)
        self.down = False
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._webhook: dict[str, Any] = {}
        self._pushing: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/bot{token}/{method}", self._call)
        app.router.add_get("/", self._page)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/chat", self._chat)
        app.router.add_get("/chat/photo/{id}", self._photo)
        app.router.add_post("/chat/say", self._say)
        app.router.add_post("/chat/press", self._press)
        app.router.add_post("/control/fault", self._order)
        app.router.add_post("/control/block", self._block)
        app.router.add_post("/control/down", self._down)
        app.router.add_get("/control/calls", self._calls)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._pushing is not None:
            self._pushing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pushing
        if self._runner is not None:
            await self._runner.cleanup()

    async def _call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        params = await _params(request)
        if self.down:
            return await _cut(request)
        if not hmac.compare_digest(request.match_info["token"].encode(), self.token.encode()):
            return _failed(ApiError(401, "Unauthorized"))
        record = {"method": method, "params": _recorded(params), "code": 0, "fault": ""}
        self.calls.append(record)
        fault = self.faults.draw(method)
        if fault is None:
            return await self._answer(method, params, record)
        record["fault"] = fault.kind
        if fault.takes:
            await self._answer(method, params, record)
        return await self._misbehave(request, fault)

    async def _answer(
        self, method: str, params: dict[str, Any], record: dict[str, Any]
    ) -> web.Response:
        try:
            if method.lower() in ("setwebhook", "deletewebhook"):
                self._set_webhook(params if method.lower() == "setwebhook" else {})
            result = await answer(self.chats, method, params)
        except ApiError as error:
            record["code"] = error.code
            return _failed(error)
        record["code"] = 200
        if isinstance(result, dict) and "message_id" in result:
            record["message_id"] = result["message_id"]
        return web.json_response({"ok": True, "result": result})

    async def _misbehave(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        match fault.kind.removesuffix("_taken"):
            case "too_many":
                after = fault.retry_after_s
                return _failed(ApiError(429, f"Too Many Requests: retry after {after}", after))
            case "server_error":
                return _failed(ApiError(500, "Internal Server Error"))
            case "bad_gateway":
                return web.Response(status=502, text="<html>502 Bad Gateway</html>")
            case "nonsense":
                return web.Response(text='{"ok": "perhaps", "result": [', content_type="text/plain")
            case "timeout":
                await asyncio.sleep(fault.hang_s)
        return await _cut(request)

    def _set_webhook(self, params: dict[str, Any]) -> None:
        self._webhook = params
        if self._pushing is None and params.get("url"):
            self._pushing = asyncio.create_task(self._push())

    async def _push(self) -> None:
        """Hand updates to the webhook, one after the other, until each is taken."""
        offset = 0
        async with ClientSession(timeout=ClientTimeout(total=PUSH_TIMEOUT_S)) as session:
            while True:
                for update in await self.chats.pending(offset, 1, WAIT_S):
                    url = self._webhook.get("url")
                    headers = {SECRET_HEADER: str(self._webhook.get("secret_token", ""))}
                    if not url:
                        await asyncio.sleep(0.2)
                        continue
                    try:
                        async with session.post(url, json=update, headers=headers) as taken:
                            offset = update["update_id"] + 1 if taken.status == 200 else offset
                    except (OSError, TimeoutError):
                        await asyncio.sleep(0.2)

    async def _page(self, request: web.Request) -> web.Response:
        del request
        return web.Response(
            text=PAGE.read_text(encoding="utf-8"),
            content_type="text/html",
            headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline'"},
        )

    async def _ready(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"ok": True})

    async def _chat(self, request: web.Request) -> web.Response:
        """The newest messages of a chat; with `after`, once there is a change behind it."""
        chat = int(request.query.get("chat", NEWCOMER))
        after = int(request.query.get("after", -1))
        await self.chats.changed_since(after, WAIT_S)
        shown = [one for one in self.chats.messages.values() if one.chat == chat][-SHOWN:]
        return web.json_response(
            {"changes": self.chats.changes, "messages": [_on_page(one) for one in shown]}
        )

    async def _photo(self, request: web.Request) -> web.Response:
        message = self.chats.messages.get(int(request.match_info["id"]))
        if message is None or message.photo is None:
            raise web.HTTPNotFound
        return web.Response(body=message.photo, content_type="image/png")

    async def _say(self, request: web.Request) -> web.Response:
        wish = await request.json()
        update = self.chats.say(int(wish.get("chat", NEWCOMER)), str(wish["text"])[:MAX_SAID])
        return web.json_response({"update_id": update})

    async def _press(self, request: web.Request) -> web.Response:
        wish = await request.json()
        chat, message = int(wish.get("chat", NEWCOMER)), int(wish["message_id"])
        return web.json_response({"update_id": self.chats.press(chat, message, str(wish["data"]))})

    async def _order(self, request: web.Request) -> web.Response:
        try:
            self.faults.order(await request.json())
        except (ValueError, TypeError) as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        return web.json_response({"left": self.faults.left, "served": self.faults.served})

    async def _block(self, request: web.Request) -> web.Response:
        self.chats.blocked.add(int((await request.json()).get("chat", NEWCOMER)))
        return web.json_response({"ok": True})

    async def _down(self, request: web.Request) -> web.Response:
        self.down = bool((await request.json()).get("down", True))
        return web.json_response({"down": self.down})

    async def _calls(self, request: web.Request) -> web.Response:
        method = request.query.get("method")
        found = [call for call in self.calls if method in (None, call["method"])]
        return web.json_response({"calls": found, "served": self.faults.served})


async def _params(request: web.Request) -> dict[str, Any]:
    """Parameters from the query, a form, parts or JSON; files are bytes under the name that refers
    to them.
    """
    params: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        body = await request.json()
        if isinstance(body, dict):
            params |= body
        return params
    form = await request.post()
    files: dict[str, bytes] = {}
    for name, value in form.items():
        if isinstance(value, web.FileField):
            files[name] = value.file.read()
        else:
            params[name] = value
    for name, value in params.items():
        if isinstance(value, str) and value.startswith("attach://"):
            params[name] = files.get(value.removeprefix("attach://"), b"")
    return params | {name: raw for name, raw in files.items() if name == "photo"}


def _recorded(params: dict[str, Any]) -> dict[str, Any]:
    return {
        name: f"<{len(value)} bytes>" if isinstance(value, bytes) else value
        for name, value in params.items()
    }


def _failed(error: ApiError) -> web.Response:
    body: dict[str, Any] = {
        "ok": False,
        "error_code": error.code,
        "description": error.description,
    }
    if error.retry_after is not None:
        body["parameters"] = {"retry_after": error.retry_after}
    return web.Response(status=error.code, text=json.dumps(body), content_type="application/json")


async def _cut(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError


def _on_page(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "at_s": message.at_s,
        "from_bot": message.from_bot,
        "text": message.text,
        "photo": message.is_photo,
        "keyboard": message.keyboard,
        "edits": message.edits,
    }
