import asyncio
import json

import pytest

from teleglas_common.clock import ManualClock
from teleglas_common.health import Health, State
from teleglas_common.health_server import HealthServer
from teleglas_common.settings import HttpSection
from teleglas_common.telemetry import Metrics


async def test_readiness_names_what_is_wrong() -> None:
    """Ready means started and every check passed; a raised error is a reason like any other."""
    health = Health(clock=ManualClock())

    async def broken() -> str | None:
        raise OSError("no route")

    health.add("database", broken)
    assert not (await health.readiness()).ok
    health.ready()
    report = await health.readiness()
    assert report.reasons == {"database": "OSError: no route"}
    assert health.liveness().ok


async def test_a_check_that_hangs_is_a_reason() -> None:
    """A probe is answered in bounded time."""
    health = Health(clock=ManualClock(), timeout_s=0.01)
    health.add("slow", asyncio.Event().wait)  # type: ignore[arg-type]
    health.ready()
    assert (await health.readiness()).reasons == {"slow": "no answer within 0.01 s"}


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.fixture
async def server():
    health, metrics = Health(), Metrics()
    metrics.counter("teleglas_ingest_frames_total", "binance").inc(3)
    server = HealthServer(HttpSection(), health, metrics)
    await server.start()
    yield server, health
    await server.stop()


async def test_the_server_answers_probes_and_metrics(server) -> None:
    """Health is live before it is ready, and metrics carry the registry's names."""
    running, health = server
    assert b" 200 " in await ask(running.port, b"GET /health HTTP/1.1\r\n\r\n")
    assert b" 503 " in await ask(running.port, b"GET /ready HTTP/1.1\r\n\r\n")
    health.ready()
    ready = await ask(running.port, b"GET /ready HTTP/1.1\r\n\r\n")
    assert json.loads(ready.partition(b"\r\n\r\n")[2])["state"] == State.READY
    metrics = await ask(running.port, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert b'teleglas_ingest_frames_total{venue="binance"} 3.0' in metrics


@pytest.mark.parametrize("request_bytes", [b"POST / HTTP/1.1\r\n\r\n", b"GET /x HTTP/1.1\r\n\r\n"])
async def test_the_server_refuses_what_it_does_not_know(server, request_bytes: bytes) -> None:
    """Other methods and paths get a 4xx."""
    assert b"HTTP/1.1 40" in await ask(server[0].port, request_bytes)


async def test_a_huge_request_is_cut_off_and_the_next_is_served(server) -> None:
    """Headers without end do not fill the memory."""
    running, _ = server
    try:
        answer = await ask(running.port, b"GET / HTTP/1.1\r\n" + b"x" * 200_000)
    except ConnectionError:
        answer = b""
    assert answer == b""
    assert b" 200 " in await ask(running.port, b"GET /health HTTP/1.1\r\n\r\n")
