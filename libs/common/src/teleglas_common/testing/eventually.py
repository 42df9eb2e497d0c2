"""Wait for an effect instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

__all__ = ["eventually"]

T = TypeVar("T")


@overload
async def eventually(
    probe: Callable[[], Awaitable[T]], *, timeout_s: float = ..., every_s: float = ...
) -> T: ...
@overload
async def eventually(
    probe: Callable[[], T], *, timeout_s: float = ..., every_s: float = ...
) -> T: ...
async def eventually(
    probe: Callable[[], T | Awaitable[T]], *, timeout_s: float = 10.0, every_s: float = 0.02
) -> T:
    """Call `probe` until it returns something true without an AssertionError, and return that.

    `None` counts as true, so a probe may just assert. After `timeout_s` its last error is raised.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = probe()
            result: T = await found if isinstance(found, Awaitable) else found
            if result is None or result:
                return result
            failure = AssertionError(f"expected something true, was {result!r}")
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure
        await asyncio.sleep(every_s)
