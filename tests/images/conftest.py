"""One engine, one stack and one simulator for all images, which `make images` has built."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from scripts.containers import Engine, EngineError, engine
from scripts.image_runs import image_name, simulator, tools_settings
from scripts.images import ALL, version
from teleglas_cli.stack.local import StackAddresses


@pytest.fixture(scope="session")
def tag() -> str:
    return os.environ.get("TELEGLAS_IMAGES_TAG") or version()


@pytest.fixture(scope="session")
def docker(tag: str, request: pytest.FixtureRequest) -> Engine:
    """The engine, by name in the output; every image must be in it."""
    found = engine()
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    assert terminal is not None
    terminal.write_line(f"engine: {found.name}")
    for image in ALL:
        try:
            found.inspect("image", image_name(image, tag))
        except EngineError as error:
            pytest.fail(f"run `make images` first: {error}")
    return found


@pytest.fixture(scope="session")
def prepared(stack: StackAddresses, docker: Engine, tag: str) -> StackAddresses:
    """A stack with topics and schemas, made by the tools' image."""
    for command in ("migrate",), ("topics", "create"):
        outcome = docker.run(image_name("tools", tag), tools_settings(stack), *command)
        assert outcome.code == 0, outcome.err
    return stack


@pytest.fixture(scope="session")
def venue(docker: Engine, tag: str) -> Iterator[str]:
    """The simulator's image, serving Binance."""
    with simulator(docker, tag) as (_, found):
        yield found
