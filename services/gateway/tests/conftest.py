"""The gateway's tests run on the loop that the gateway runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from teleglas_common.settings import TelemetrySection
from teleglas_common.telemetry import configure_logs


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True, scope="session")
def _logs() -> None:
    configure_logs(TelemetrySection(log_format="json"), "gateway")
