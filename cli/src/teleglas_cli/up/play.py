"""When a capture was played through a product, and when nothing more comes of it."""

from __future__ import annotations

import asyncio

from teleglas_cli.up.live import Flow
from teleglas_cli.up.product import Product
from teleglas_cli.up.venues import capture_drained

__all__ = ["QUIET_TICKS", "TICK_S", "Quiet", "caught_up", "played"]

TICK_S = 1.0
QUIET_TICKS = 5
CATCH_UP_TICKS = 60


class Quiet:
    """Counts the ticks since which nothing has flowed and nobody is behind."""

    def __init__(self, product: Product, flow: Flow, enough: int = QUIET_TICKS) -> None:
        self._product = product
        self._flow = flow
        self._enough = enough
        self._ticks = 0

    async def tick(self) -> bool:
        """Look once, after `flow.line`; whether it has been quiet for long enough."""
        quiet = not self._flow.moved and await self._product.lag() == 0
        self._ticks = self._ticks + 1 if quiet else 0
        return self._ticks >= self._enough


async def played(product: Product, flow: Flow) -> None:
    """Wait until a capture was sent whole and everything that came of it was handled."""
    quiet = Quiet(product, flow)
    while True:
        await asyncio.sleep(TICK_S)
        await flow.line()
        if await capture_drained(product.venues) and await quiet.tick():
            return


async def caught_up(product: Product, flow: Flow, quiet_ticks: int = 1) -> bool:
    """Let the services handle what ingest wrote last; whether they did in a bounded time."""
    quiet = Quiet(product, flow, quiet_ticks)
    for _ in range(CATCH_UP_TICKS):
        await flow.line()
        if await quiet.tick():
            return True
        await asyncio.sleep(TICK_S)
    return False
