"""How a process lives: parts start in order, stop in reverse, and a broken part ends it loudly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import structlog

from teleglas_common.collector import collect_rarely
from teleglas_common.health import Health
from teleglas_common.telemetry.tracing import flush_traces

__all__ = ["App", "Component", "Runs", "run", "serve"]

log = structlog.get_logger(__name__)

FORCED = 130
START_TIMEOUT_S = 120.0
LAST_CHANCE_S = 0.5
CANCEL_TIMEOUT_S = 2.0


class Component(Protocol):
    """A part with a beginning and an end. Both are called once."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Drain and let go; bounded by the caller. Called also when `start` failed."""


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
    collect_rarely()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            code = runner.run(serve(app))
    finally:
        flush_traces()
    sys.exit(code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def serve(app: App, stop: asyncio.Event | None = None) -> int:
    """Start every part, wait for a signal or a broken part, stop in reverse; the exit code.

    A signal while parts still start ends the start; a second one ends the process at once.
    """
    stopping = stop or asyncio.Event()
    life = _Life(app, stopping)
    with _signals(stopping):
        failure = await life.start()
        if failure is None and not stopping.is_set():
            app.health.ready()
            log.info("ready", service=app.name)
            failure = await life.until_over()
        if failure:
            app.health.failed(failure)
            log.error("a part broke", service=app.name, cause=failure)
        else:
            app.health.draining()
            log.info("draining", service=app.name)
        clean = await life.stop()
    log.info("stopped", service=app.name, clean=clean)
    return 1 if failure or not clean else 0


class _Life:
    """The started parts of one app, and the tasks of those that run."""

    def __init__(self, app: App, stopping: asyncio.Event) -> None:
        self._app = app
        self._stopping = stopping
        self._started: list[Component] = []
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._told: set[asyncio.Task[None]] = set()

    async def start(self) -> str | None:
        """Start in order; what broke, None when all is well or the process was asked to stop."""
        for part in self._app.components:
            name = type(part).__name__
            self._started.append(part)
            starting = asyncio.create_task(part.start(), name=f"start {name}")
            await self._first_of(starting, timeout_s=START_TIMEOUT_S)
            if not starting.done():
                await _end({starting})
                late = f"{name}: expected a start within {START_TIMEOUT_S:g} s"
                return self._ended() or (None if self._stopping.is_set() else late)
            if (error := _error_of(starting)) is not None:
                log.error("start failed", part=name, exc_info=error)
                return f"{name} did not start: {_describe(error)}"
            if isinstance(part, Runs):
                self._tasks[asyncio.create_task(part.run(), name=name)] = name
        return None

    async def until_over(self) -> str | None:
        """Wait for the end; what broke, None when the process was asked to stop."""
        await self._first_of()
        return self._ended()

    async def stop(self) -> bool:
        """Stop in reverse within the grace; whether everything ended well.

        When a part takes all of the grace, those below it still get `LAST_CHANCE_S` each.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._app.shutdown_grace_s
        clean = True
        for part in reversed(self._started):
            name = type(part).__name__
            task = asyncio.create_task(part.stop(), name=f"stop {name}")
            await asyncio.wait({task}, timeout=max(LAST_CHANCE_S, deadline_s - loop.time()))
            if not task.done():
                await _end({task})
                log.error("drain took too long", part=name, grace_s=self._app.shutdown_grace_s)
                clean = False
            elif (error := _error_of(task)) is not None:
                log.error("stop failed", part=name, exc_info=error)
                clean = False
        await _end({task for task in self._tasks if not task.done()})
        return self._ended() is None and clean

    async def _first_of(self, *others: asyncio.Task[None], timeout_s: float | None = None) -> None:
        asked = asyncio.create_task(self._stopping.wait(), name="asked to stop")
        waited: set[asyncio.Task[Any]] = {asked, *self._tasks, *others}
        await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()

    def _ended(self) -> str | None:
        """Why a part that runs is over, None if none is or it was asked to; tells each once."""
        causes = []
        for task, name in self._tasks.items():
            if not task.done() or task in self._told:
                continue
            self._told.add(task)
            error = _error_of(task)
            if error is not None:
                log.error("part failed", part=name, exc_info=error)
                causes.append(f"{name}: {_describe(error)}")
            elif not self._stopping.is_set() and not task.cancelled():
                causes.append(f"{name}: ended by itself")
        return "; ".join(causes) or None


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel, and wait a bounded time for what resists."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT_S)


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return None if not task.done() or task.cancelled() else task.exception()


def _describe(error: BaseException) -> str:
    """The error in one line, of a group its parts."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(_describe(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def _signals(stopping: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT ask to stop; a second one ends the process without waiting."""

    def asked() -> None:
        if stopping.is_set():
            sys.stderr.write("stopped by force\n")
            sys.stderr.flush()
            os._exit(FORCED)
        stopping.set()

    loop = asyncio.get_running_loop()
    taken = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, asked)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
