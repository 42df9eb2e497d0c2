"""A bound for bodies: nothing that this API takes is long."""

from __future__ import annotations

import contextlib

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.rest.problems import problem_response

__all__ = ["MAX_BODY_BYTES", "BoundedBodies"]

MAX_BODY_BYTES = 64 * 1024


class _TooLongError(Exception):
    pass


class BoundedBodies:
    """ASGI middleware; a body is counted as it comes, whatever its head says of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read_bytes = 0

        async def bounded() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > MAX_BODY_BYTES:
                raise _TooLongError
            return message

        async def unless_too_long(message: Message) -> None:
            # the framework answers for whatever breaks while it reads a body: ours comes instead
            if read_bytes <= MAX_BODY_BYTES:
                await send(message)

        with contextlib.suppress(_TooLongError):
            await self._app(scope, bounded, unless_too_long)
        if read_bytes > MAX_BODY_BYTES:
            problem = Problem(
                Code.FRAME_TOO_LARGE, f"expected a body of at most {MAX_BODY_BYTES} bytes"
            )
            await problem_response(Request(scope), problem)(scope, receive, send)
