"""Looks now and then whether the service is ready and what it stands on answers, for alerts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from teleglas_common.health import Health
from teleglas_common.telemetry.metrics import Metrics

__all__ = ["Watch"]

EVERY_S = 5.0
ANSWER_TIMEOUT_S = 3.0

Ask = Callable[[], Awaitable[object]]
"""Raises when there is no answer."""


class Watch:
    """A component, last to start and first to stop. `dependencies` are asked by name."""

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        dependencies: Mapping[str, Ask],
        every_s: float = EVERY_S,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._dependencies = dict(dependencies)
        self._every_s = every_s
        self._stopping = asyncio.Event()
        metrics.gauge("teleglas_service_ready").set_function(lambda: float(self._ready))
        self._ready = False

    async def start(self) -> None:
        """Nothing to open."""

    async def run(self) -> None:
        while not self._stopping.is_set():
            await self.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._every_s)

    async def stop(self) -> None:
        self._ready = False
        self._stopping.set()

    async def look(self) -> None:
        """Ask everything once."""
        names = list(self._dependencies)
        answers = await asyncio.gather(*(self._answers(name) for name in names))
        for name, answered in zip(names, answers, strict=True):
            self._metrics.gauge("teleglas_service_dependency_up", name).set(float(answered))
        self._ready = (await self._health.readiness()).ok

    async def _answers(self, name: str) -> bool:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._dependencies[name]()
        except Exception:  # noqa: BLE001  any fault is an answer here
            return False
        return True
