"""A small client of the gateway's REST API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

__all__ = ["Api", "ApiError", "open_api"]

Json = dict[str, Any]
Params = Mapping[str, str | Sequence[str] | None]
TIMEOUT_S = 15.0


class ApiError(Exception):
    """The gateway said no, or nothing. `code` is the problem's; empty where there was no answer."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}" if code else detail)
        self.code = code
        self.detail = detail


class Api:
    """Asks with one key; a refusal is an ApiError with its code."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str, params: Params | None = None) -> Json:
        """The answer to a GET; parameters without a value are left out."""
        asked = [
            (name, one)
            for name, value in (params or {}).items()
            for one in ([value] if isinstance(value, str) else value or [])
        ]
        try:
            async with self._session.get(path, params=asked) as response:
                body: Json = await response.json(content_type=None)
                if response.status >= 400:
                    raise ApiError(str(body.get("code", "")), str(body.get("detail", body)))
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
            raise ApiError("", f"expected an answer of {path}, was {error!r}") from error
        return body

    async def rows(self, path: str, params: Params, most: int) -> AsyncIterator[Json]:
        """Rows of a list over its pages, at most so many."""
        cursor: str | None = None
        shown = 0
        while shown < most:
            page = await self.get(
                path, {**params, "limit": str(min(most - shown, 1000)), "cursor": cursor}
            )
            for row in page["data"][: most - shown]:
                yield row
            shown += len(page["data"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return


@asynccontextmanager
async def open_api(url: str, key: str) -> AsyncIterator[Api]:
    """A client of the gateway at `url`; the key goes in a header."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(url, headers=headers, timeout=timeout) as session:
        yield Api(session)
