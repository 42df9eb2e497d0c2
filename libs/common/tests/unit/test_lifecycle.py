import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from teleglas_common.health import Health, State
from teleglas_common.lifecycle import Component, serve
from teleglas_common.testing import eventually


class Part:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    async def start(self) -> None:
        self.log.append(f"+{self.name}")

    async def stop(self) -> None:
        self.log.append(f"-{self.name}")


class Worker(Part):
    def __init__(self, name: str, log: list[str], error: Exception | None) -> None:
        super().__init__(name, log)
        self.error = error

    async def run(self) -> None:
        if self.error:
            raise self.error
        await asyncio.Event().wait()


class Example:
    name = "example"
    shutdown_grace_s = 1.0

    def __init__(self, parts: Sequence[Component]) -> None:
        self.components = parts
        self.health = Health()


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    """What others stand on starts first and stops last; a clean end is exit code 0."""
    log: list[str] = []
    app = Example([Part("a", log), Worker("b", log, None), Part("c", log)])
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, stop))
    await eventually(lambda: app.health.state is State.READY)
    stop.set()
    assert await serving == 0
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert app.health.state is State.DRAINING


async def test_a_part_that_breaks_ends_the_process_loudly() -> None:
    """The rest is stopped in order and the exit code says that something broke."""
    log: list[str] = []
    app = Example([Part("a", log), Worker("b", log, ValueError("boom"))])
    assert await serve(app) == 1
    assert log == ["+a", "+b", "-b", "-a"]
    assert app.health.liveness().reasons == {"process": "Worker: ValueError: boom"}


async def test_a_part_that_cannot_start_ends_the_process() -> None:
    """What was started before it is stopped again."""
    log: list[str] = []

    class Broken(Part):
        async def start(self) -> None:
            raise OSError("port taken")

    app = Example([Part("a", log), Broken("b", log)])
    assert await serve(app) == 1
    assert log == ["+a", "-b", "-a"]


class Stubborn(Part):
    async def stop(self) -> None:
        await asyncio.Event().wait()


async def test_a_part_that_hangs_does_not_keep_others_from_stopping() -> None:
    """The drain ends, what lies below is still stopped, and the exit code says so."""
    log: list[str] = []
    app = Example([Part("a", log), Stubborn("b", log)])
    app.shutdown_grace_s = 0.05
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, stop))
    await eventually(lambda: app.health.state is State.READY)
    stop.set()
    assert await serving == 1
    assert log == ["+a", "+b", "-a"]


async def test_a_part_that_fails_while_draining_is_not_silent() -> None:
    """An error on the way out, such as a failed last checkpoint, is an exit code other than 0."""

    class Failing(Part):
        def __init__(self, name: str, log: list[str]) -> None:
            super().__init__(name, log)
            self.stopping = asyncio.Event()

        async def run(self) -> None:
            await self.stopping.wait()
            raise OSError("checkpoint refused")

        async def stop(self) -> None:
            self.stopping.set()

    app = Example([Failing("a", [])])
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, stop))
    await eventually(lambda: app.health.state is State.READY)
    stop.set()
    assert await serving == 1


async def test_a_signal_ends_a_start_that_waits() -> None:
    """A process that waits for its database still obeys."""
    log: list[str] = []
    waiting = asyncio.Event()

    class Waiting(Part):
        async def start(self) -> None:
            waiting.set()
            await asyncio.Event().wait()

    app = Example([Part("a", log), Waiting("b", log), Part("c", log)])
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, stop))
    await waiting.wait()
    stop.set()
    assert await serving == 0
    assert log == ["+a", "-b", "-a"]


async def test_errors_of_a_group_are_named() -> None:
    """What broke inside a task group is said, not that a group broke."""

    class Grouped(Part):
        async def run(self) -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.fail())

        async def fail(self) -> None:
            raise OSError("no route")

    app = Example([Grouped("a", [])])
    assert await serve(app) == 1
    assert app.health.cause == "Grouped: OSError: no route"


PROGRAM = """
import asyncio, sys
from teleglas_common.health import Health
from teleglas_common.lifecycle import run

class Part:
    async def start(self): print("started", flush=True)
    async def stop(self):
        print("stopping", flush=True)
        while True:
            try: await asyncio.sleep(0 if sys.argv[1] == "clean" else 60)
            except asyncio.CancelledError: continue
            return

class App:
    name, health, shutdown_grace_s, components = "x", Health(), 30.0, (Part(),)

run(App())
"""


@pytest.mark.parametrize(("manner", "signals", "code"), [("clean", 1, 0), ("hangs", 2, 130)])
async def test_a_process_obeys_signals(
    tmp_path: Path, manner: str, signals: int, code: int
) -> None:
    """One SIGTERM drains and exits with 0; the second ends a drain that hangs."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(program), manner),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        for expected in [b"started\n", b"stopping\n"][:signals]:
            while await process.stdout.readline() != expected:
                assert not process.stdout.at_eof()
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == code
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
