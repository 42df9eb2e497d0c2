"""The services of the local product: how each is started and where it answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.stack.ports import LOOPBACK, free_ports, is_free
from teleglas_cli.stack.process import ManagedProcess

__all__ = ["Layout", "environment", "lag", "plan", "service_process"]

PROBE_TIMEOUT_S = 1.0
LAG_METRIC = "teleglas_bus_lag_records{"
READY_TIMEOUT_S = 60.0
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Layout:
    """The ports of one product on this machine."""

    gateway_http: int
    market_data_http: int
    market_data_grpc: int
    ingest_http: int

    @property
    def gateway_url(self) -> str:
        return f"http://{LOOPBACK}:{self.gateway_http}"

    @property
    def market_data_target(self) -> str:
        return f"{LOOPBACK}:{self.market_data_grpc}"

    @property
    def http(self) -> Mapping[str, str]:
        """Health and metrics by service."""
        ports = {
            "market-data": self.market_data_http,
            "gateway": self.gateway_http,
            "ingest": self.ingest_http,
        }
        return {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}


def plan(gateway_port: int) -> Layout:
    """Choose free ports; the gateway's is the asked one if nobody has it."""
    own, market_data_http, market_data_grpc, ingest_http = free_ports(4)
    gateway_http = gateway_port if gateway_port and is_free(gateway_port) else own
    return Layout(gateway_http, market_data_http, market_data_grpc, ingest_http)


def environment(
    stack: StackAddresses, otlp_endpoint: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """What every service gets. Only named variables of ours are passed on."""
    own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    teleglas = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("TELEGLAS_") and "__" in name
    }
    return {
        **own,
        "PYTHONUNBUFFERED": "1",
        "TELEGLAS_KAFKA__BOOTSTRAP": stack.kafka_bootstrap,
        "TELEGLAS_POSTGRES__DSN": stack.postgres_dsn,
        "TELEGLAS_REDIS__URL": stack.redis_url,
        "TELEGLAS_TELEMETRY__LOG_FORMAT": "json",
        "TELEGLAS_TELEMETRY__OTLP_ENDPOINT": otlp_endpoint,
        **teleglas,
        **extra,
    }


def service_process(
    name: str, env: Mapping[str, str], layout: Layout, logs: Path
) -> ManagedProcess:
    """One service as a child process that counts as started when it says that it is ready."""
    url = layout.http[name]
    port = url.rpartition(":")[2]
    grpc = {"TELEGLAS_GRPC__PORT": str(layout.market_data_grpc)} if name == "market-data" else {}
    return ManagedProcess(
        name,
        [sys.executable, "-m", f"teleglas_{name.replace('-', '_')}.main"],
        {**env, "TELEGLAS_HTTP__PORT": port, **grpc},
        logs / f"{name}.log",
        lambda: answers(f"{url}/ready"),
        ready_timeout_s=READY_TIMEOUT_S,
    )


async def answers(url: str) -> bool:
    """Whether a probe says yes."""
    timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return response.status == 200
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False


async def lag(url: str) -> int | None:
    """Records between what a service has handled and the ends of its topics; None if unknown."""
    timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/metrics") as response,
        ):
            lines = (await response.text()).splitlines()
    except (OSError, TimeoutError, aiohttp.ClientError):
        return None
    values = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(LAG_METRIC)]
    return round(sum(values)) if values else None
