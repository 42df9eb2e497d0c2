import asyncio
from collections.abc import Sequence

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
    assert app.health.liveness().reasons == {"process": "Worker: boom"}


async def test_a_part_that_cannot_start_ends_the_process() -> None:
    """What was started before it is stopped again."""
    log: list[str] = []

    class Broken(Part):
        async def start(self) -> None:
            raise OSError("port taken")

    app = Example([Part("a", log), Broken("b", log)])
    assert await serve(app) == 1
    assert log == ["+a", "-b", "-a"]
