"""How a process lives: parts start in order, stop in reverse, and a broken part ends it loudly."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import structlog

from teleglas_common.health import Health

__all__ = ["App", "Component", "Runs", "run", "serve"]

log = structlog.get_logger(__name__)

FORCED = 130
START_TIMEOUT_S = 120.0


class Component(Protocol):
    """A part with a beginning and an end. Both are called once."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Drain and let go; bounded by the caller."""


@runtime_checkable
class Runs(Protocol):
    """A part that works until it is stopped; if `run` ends before, the process ends."""

    async def run(self) -> None: ...


class App(Protocol):
    """A composed service."""

    @property
    def name(self) -> str: ...

    @property
    def health(self) -> Health: ...

    @property
    def components(self) -> Sequence[Component]:
        """In the order of their start."""

    @property
    def shutdown_grace_s(self) -> float: ...


def run(app: App) -> None:
    """Serve until a signal; exits with 0, or 1 when a part broke."""
    with contextlib.suppress(ImportError):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(serve(app)))
    sys.exit(asyncio.run(serve(app)))


async def serve(app: App, stop: asyncio.Event | None = None) -> int:
    """Start every part, wait for a signal or a broken part, stop in reverse; the exit code."""
    stopping = stop or asyncio.Event()
    _on_signals(stopping)
    started: list[Component] = []
    tasks: dict[asyncio.Task[None], str] = {}
    failure: str | None = None
    try:
        for part in app.components:
            started.append(part)
            await asyncio.wait_for(part.start(), START_TIMEOUT_S)
            if isinstance(part, Runs):
                name = type(part).__name__
                tasks[asyncio.create_task(part.run(), name=name)] = name
        app.health.ready()
        log.info("ready", service=app.name)
        failure = await _until_over(stopping, tasks)
    except Exception as error:
        log.exception("start failed", service=app.name)
        failure = f"start failed: {error}"
    if failure:
        app.health.failed(failure)
        log.error("a part broke", service=app.name, cause=failure)
    else:
        app.health.draining()
        log.info("draining", service=app.name)
    await _stop(app, started, tasks)
    log.info("stopped", service=app.name)
    return 1 if failure else 0


async def _until_over(stopping: asyncio.Event, tasks: dict[asyncio.Task[None], str]) -> str | None:
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in [task for task in tasks if task.done()]:
        error = task.exception()
        if error is not None:
            log.error("part failed", part=tasks[task], exc_info=error)
        if not stopping.is_set():
            return f"{tasks[task]}: {error or 'ended by itself'}"
    return None


async def _stop(
    app: App, started: Sequence[Component], tasks: dict[asyncio.Task[None], str]
) -> None:
    try:
        async with asyncio.timeout(app.shutdown_grace_s):
            for part in reversed(started):
                try:
                    await part.stop()
                except Exception:
                    log.exception("stop failed", part=type(part).__name__)
    except TimeoutError:
        log.error("drain took too long", grace_s=app.shutdown_grace_s)  # noqa: TRY400  no news
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _on_signals(stopping: asyncio.Event) -> None:
    def asked() -> None:
        if stopping.is_set():
            sys.exit(FORCED)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, asked)
