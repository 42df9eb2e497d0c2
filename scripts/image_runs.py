"""What an image needs around it to become ready: the local stack, a simulated venue, settings."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.containers import Container, Engine, EngineError, wait_until_ready
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.stack.ports import LOOPBACK, free_ports

__all__ = ["SERVICES", "image_name", "service", "settings", "simulator", "tools_settings"]

SERVICES = (
    *("ingest", "market-data", "whale-detector", "signal-scorer"),
    *("prediction", "notification", "gateway"),
)
SIMULATOR_TIMEOUT_S = 30.0
READY_TIMEOUT_S = 60.0


def image_name(image: str, tag: str) -> str:
    return f"teleglas/{image}:{tag}"


def tools_settings(stack: StackAddresses) -> dict[str, str]:
    """Where the stack is: all that the tools are told."""
    return {
        "TELEGLAS_KAFKA__BOOTSTRAP": stack.kafka_bootstrap,
        "TELEGLAS_POSTGRES__DSN": stack.postgres_dsn,
    }


def settings(stack: StackAddresses, http_port: int, grpc_port: int, venue: str) -> dict[str, str]:
    """Settings that any service becomes ready with; each takes of them what it knows.

    `venue` is the simulator's Binance, as `ws-port,rest-port`.
    """
    ws_port, rest_port = venue.split(",")
    return {
        **tools_settings(stack),
        "TELEGLAS_REDIS__URL": stack.redis_url,
        "TELEGLAS_PRINCIPAL_SECRET": "a-secret-that-only-this-test-has",
        "TELEGLAS_HTTP__HOST": LOOPBACK,
        "TELEGLAS_HTTP__PORT": str(http_port),
        "TELEGLAS_GRPC__HOST": LOOPBACK,
        "TELEGLAS_GRPC__PORT": str(grpc_port),
        "TELEGLAS_MARKET_DATA__TARGET": f"{LOOPBACK}:{grpc_port}",
        "TELEGLAS_BINANCE__SYMBOLS": "BTC-USDT",
        "TELEGLAS_BINANCE__WS_URL": f"ws://{LOOPBACK}:{ws_port}",
        "TELEGLAS_BINANCE__REST_URL": f"http://{LOOPBACK}:{rest_port}",
        "TELEGLAS_BINANCE_USDM__SYMBOLS": "",
        "TELEGLAS_OKX__SYMBOLS": "",
    }


@contextmanager
def simulator(engine: Engine, tag: str) -> Iterator[tuple[Container, str]]:
    """The simulator's image, running, and its Binance as `ws-port,rest-port`."""
    names = [f"{venue}_{kind}" for venue in ("BINANCE", "USDM", "OKX") for kind in ("WS", "REST")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    env = {f"TELEGLAS_SIM_{name}_PORT": str(port) for name, port in ports.items()}
    env["TELEGLAS_SIM_HOST"] = LOOPBACK
    with engine.started(image_name("simulator", tag), env) as container:
        deadline_s = time.monotonic() + SIMULATOR_TIMEOUT_S
        while not _announced(container.logs()):
            if time.monotonic() > deadline_s or not container.state["Running"]:
                raise EngineError(f"expected a simulator, its log:\n{container.logs()}")
            time.sleep(0.1)
        yield container, f"{ports['BINANCE_WS']},{ports['BINANCE_REST']}"


def _announced(log: str) -> bool:
    return any(line.startswith("{") and json.loads(line).get("ready") for line in log.splitlines())


@contextmanager
def service(
    engine: Engine, name: str, tag: str, stack: StackAddresses, venue: str
) -> Iterator[tuple[Container, int, float]]:
    """A service's image, ready; its HTTP port, and the seconds from its start to that."""
    http_port, grpc_port = free_ports(2)
    env = settings(stack, http_port, grpc_port, venue)
    with engine.started(image_name(name, tag), env) as container:
        url = f"http://{LOOPBACK}:{http_port}/ready"
        yield container, http_port, wait_until_ready(container, url, READY_TIMEOUT_S)
