"""REST over aiohttp, within a venue's request weight, obeying its requests to slow down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import aiohttp

from teleglas_ingest.ports import RestError

__all__ = ["AiohttpRest", "WeightBudget"]

MAX_BODY_BYTES = 64 << 20
"""`exchangeInfo` of spot has 15 MB."""
SLOW_DOWN = {418, 429}


class WeightBudget:
    """At most `weight` in any `window_s`; waiters go in order. `pause` holds everyone back."""

    def __init__(self, weight: int, window_s: float, monotonic_ns: Callable[[], int]) -> None:
        self._weight = weight
        self._window_ns = int(window_s * 1e9)
        self._monotonic_ns = monotonic_ns
        self._spent: list[tuple[int, int]] = []
        self._paused_until_ns = 0
        self._turn = asyncio.Lock()

    async def spend(self, weight: int) -> None:
        if weight > self._weight:
            raise ValueError(f"expected a weight of at most {self._weight}, was {weight}")
        async with self._turn:
            while True:
                wait_ns = self._wait_ns(weight)
                if wait_ns <= 0:
                    break
                await asyncio.sleep(wait_ns / 1e9)
            self._spent.append((self._monotonic_ns(), weight))

    def pause(self, seconds: float) -> None:
        until_ns = self._monotonic_ns() + int(seconds * 1e9)
        self._paused_until_ns = max(self._paused_until_ns, until_ns)

    def _wait_ns(self, weight: int) -> int:
        now_ns = self._monotonic_ns()
        if now_ns < self._paused_until_ns:
            return self._paused_until_ns - now_ns
        self._spent = [(at, w) for at, w in self._spent if now_ns - at < self._window_ns]
        used = sum(w for _, w in self._spent)
        for at, spent in self._spent:
            if used + weight <= self._weight:
                break
            used -= spent
            if used + weight <= self._weight:
                return at + self._window_ns - now_ns
        return 0


class AiohttpRest:
    """One venue's REST. The session is made on first use."""

    def __init__(self, base_url: str, budget: WeightBudget, *, timeout_s: float = 10.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._budget = budget
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, params: Mapping[str, str], *, weight: int) -> bytes:
        await self._budget.spend(weight)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        url = f"{self._base_url}{path}"
        try:
            async with self._session.get(url, params=dict(params)) as response:
                body = await response.content.read(MAX_BODY_BYTES)
                if not response.content.at_eof():
                    body += await self._rest_of(response, len(body))
                if response.status != 200:
                    raise self._refused(url, response, body)
                return body
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RestError(f"expected an answer of {url}, was: {error!r}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _rest_of(self, response: aiohttp.ClientResponse, have: int) -> bytes:
        parts: list[bytes] = []
        async for part in response.content.iter_any():
            have += len(part)
            if have > MAX_BODY_BYTES:
                raise RestError(f"expected at most {MAX_BODY_BYTES} bytes of {response.url}")
            parts.append(part)
        return b"".join(parts)

    def _refused(self, url: str, response: aiohttp.ClientResponse, body: bytes) -> RestError:
        retry_after_s = 0.0
        if response.status in SLOW_DOWN:
            asked = response.headers.get("Retry-After", "")
            retry_after_s = float(asked) if asked.isdigit() else 10.0
            self._budget.pause(retry_after_s)
        return RestError(
            f"expected status 200 of {url}, was {response.status}: {body[:200]!r}",
            status=response.status,
            retry_after_s=retry_after_s,
        )
