"""The probe: what a container's health command says and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from teleglas_common.health import Health
from teleglas_common.health_server import HealthServer
from teleglas_common.probe import main
from teleglas_common.settings import HttpSection
from teleglas_common.telemetry.metrics import Metrics


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def port(health: Health) -> AsyncIterator[int]:
    server = HealthServer(HttpSection(), health, Metrics())
    await server.start()
    yield server.port
    await server.stop()


async def ask(port: int, *arguments: str) -> int:
    return await asyncio.to_thread(main, arguments, {"TELEGLAS_HTTP__PORT": str(port)})


async def test_service_that_starts_is_live_but_not_ready(port: int, capsys) -> None:
    """Liveness and readiness are different questions, and a no comes with its reason."""
    assert await ask(port) == 0
    assert await ask(port, "--ready") == 1
    assert '503 {"ok": false, "state": "starting"' in capsys.readouterr().err


async def test_ready_service_passes_both(port: int, health: Health) -> None:
    """Both answers are yes once it serves."""
    health.ready()
    assert (await ask(port), await ask(port, "--ready")) == (0, 0)


async def test_nobody_there_is_a_no(capsys) -> None:
    """A refused connection ends in 1 and says so."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        closed = gone.getsockname()[1]
    assert await ask(closed) == 1
    assert "ConnectionRefusedError" in capsys.readouterr().err


def test_missing_port_is_named(capsys) -> None:
    """Without the variable there is nobody to ask."""
    assert main((), {}) == 1
    assert "TELEGLAS_HTTP__PORT" in capsys.readouterr().err
