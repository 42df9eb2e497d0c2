"""Loops that outlive a database that goes away for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from teleglas_common.bus.ports import PublishError
from teleglas_common.clock import Clock

__all__ = ["steadily"]

FIRST_S, MOST_S = 0.2, 5.0
OUTAGE_LIMIT_S = 120.0
PASSING = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

log = structlog.get_logger(__name__)


async def steadily(work: Callable[[], Awaitable[None]], what: str, clock: Clock) -> None:
    """Run `work` until it returns; again, with back-off, after what may pass. An outage of more
    than OUTAGE_LIMIT_S is raised.
    """
    wait_s, began_s = FIRST_S, clock.monotonic_s()
    while True:
        entered_s = clock.monotonic_s()
        try:
            await work()
        except Exception as error:
            now_s = clock.monotonic_s()
            if now_s - entered_s > MOST_S:
                wait_s, began_s = FIRST_S, now_s
            if not _may_pass(error) or now_s - began_s > OUTAGE_LIMIT_S:
                raise
            log.warning("goes on after a failure", part=what, cause=repr(_first(error)))
            await clock.sleep(wait_s)
            wait_s = min(MOST_S, wait_s * 2)
        else:
            return


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_may_pass(one) for one in error.exceptions)
    return isinstance(error, PASSING) and not isinstance(error, PublishError)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
