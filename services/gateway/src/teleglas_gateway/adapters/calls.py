"""Calls of a service behind the gateway: for whom, with a deadline, and what a failure means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio

from teleglas_gateway.domain.keys import Grant
from teleglas_gateway.domain.problems import Code, Problem

__all__ = ["Calls", "Metadata"]

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Metadata = Callable[[Grant], tuple[tuple[str, str], ...]]
"""Signs whom a call is made for."""

_CODES = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Code.UPSTREAM_TIMEOUT,
    grpc.StatusCode.NOT_FOUND: Code.NO_DATA,
    grpc.StatusCode.INVALID_ARGUMENT: Code.VALIDATION_FAILED,
    grpc.StatusCode.OUT_OF_RANGE: Code.VALIDATION_FAILED,
    grpc.StatusCode.PERMISSION_DENIED: Code.FORBIDDEN,
    grpc.StatusCode.FAILED_PRECONDITION: Code.CONFLICT,
    grpc.StatusCode.ALREADY_EXISTS: Code.CONFLICT,
    grpc.StatusCode.ABORTED: Code.CONFLICT,
}


class Calls:
    """Makes the calls of one service; whatever goes wrong there is a Problem here."""

    def __init__(self, service: str, metadata: Metadata, *, deadline_s: float) -> None:
        self._service = service
        self._metadata = metadata
        self._deadline_s = deadline_s

    async def make(
        self, method: Callable[..., Awaitable[Answer]], request: Request, grant: Grant
    ) -> Answer:
        return await self._try(method, request, grant, Code.NO_DATA)

    async def by_id(
        self, method: Callable[..., Awaitable[Answer]], request: Request, grant: Grant
    ) -> Answer:
        """The same where a client named one thing: that it is not there has a code of its own."""
        return await self._try(method, request, grant, Code.UNKNOWN_ID)

    async def _try(
        self,
        method: Callable[..., Awaitable[Answer]],
        request: Request,
        grant: Grant,
        missing: Code,
    ) -> Answer:
        try:
            return await method(request, timeout=self._deadline_s, metadata=self._metadata(grant))
        except grpc.aio.AioRpcError as error:
            code = _CODES.get(error.code(), Code.UPSTREAM_UNAVAILABLE)
            detail = f"{self._service}: {error.details() or error.code().name}"[:300]
            raise Problem(missing if code is Code.NO_DATA else code, detail) from error
