"""The services of the local product: what they are, how each is started and where it answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.stack.ports import LOOPBACK, free_ports, is_free
from teleglas_cli.stack.process import ManagedProcess

__all__ = [
    "SPINE",
    "STARTED",
    "TABLE",
    "Layout",
    "Service",
    "chosen",
    "environment",
    "lag",
    "plan",
    "service_of",
    "service_process",
]

PROBE_TIMEOUT_S = 1.0
LAG_METRIC = "teleglas_bus_lag_records{"
READY_TIMEOUT_S = 180.0
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Service:
    """One row of the table. `target` is the variable by which others find its gRPC; empty: none.
    `calls` names those whose gRPC it calls.

    `extra` is what this one alone is told; `{folder}` in a value stands for a folder of its own
    below the run's state.
    """

    name: str
    target: str = ""
    calls: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def has_grpc(self) -> bool:
        return bool(self.target)

    def own_environment(self, state_dir: Path) -> dict[str, str]:
        folder = str(state_dir / self.name)
        return {name: value.replace("{folder}", folder) for name, value in self.extra}


TABLE = (
    Service("ingest"),
    Service("market-data", "TELEGLAS_MARKET_DATA__TARGET"),
    Service("whale-detector", "TELEGLAS_WHALES__TARGET"),
    Service("signal-scorer", "TELEGLAS_SIGNALS__TARGET"),
    Service("prediction", "TELEGLAS_PREDICTIONS__TARGET"),
    Service("notification", "TELEGLAS_NOTIFICATIONS__TARGET", ("market-data",)),
    Service(
        "gateway",
        calls=("market-data", "whale-detector", "signal-scorer", "prediction", "notification"),
    ),
)
"""In the order in which data flows, which is the order in which they are drained."""
SPINE = ("ingest", "market-data", "gateway")
"""What a market on the stream needs; nothing runs without these."""
GIVE_WAY = frozenset({"market-data", "signal-scorer", "prediction"})
"""Who computes and stores for later yields the processor to what is shown or told now."""
STARTED = tuple(row.name for row in TABLE)
"""What a run starts unless it is told otherwise."""


def chosen(only_spine: bool, without: Collection[str]) -> tuple[str, ...]:
    """Which services a run starts, in the table's order; ValueError for a name that cannot go."""
    optional = [name for name in STARTED if name not in SPINE]
    for name in without:
        if name not in optional:
            known = ", ".join(optional) or "none"
            raise ValueError(f"expected a service that can be left out ({known}), was {name!r}")
    wanted = SPINE if only_spine else STARTED
    return tuple(row.name for row in TABLE if row.name in wanted and row.name not in without)


@dataclass(frozen=True, slots=True)
class Layout:
    """The ports of one product on this machine, by service; `chat` is the local Bot API's."""

    http_ports: Mapping[str, int]
    grpc_ports: Mapping[str, int]
    chat_port: int

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self.http_ports)

    @property
    def gateway_url(self) -> str:
        return self.http["gateway"]

    @property
    def market_data_target(self) -> str:
        return self.grpc["market-data"]

    @property
    def chat_url(self) -> str:
        return f"http://{LOOPBACK}:{self.chat_port}"

    @property
    def http(self) -> Mapping[str, str]:
        """Health and metrics by service."""
        return {name: f"http://{LOOPBACK}:{port}" for name, port in self.http_ports.items()}

    @property
    def grpc(self) -> Mapping[str, str]:
        """Where each service that has gRPC answers it."""
        return {name: f"{LOOPBACK}:{port}" for name, port in self.grpc_ports.items()}

    def targets(self, name: str) -> dict[str, str]:
        """The variables by which a service finds those that it calls and that run."""
        calls = next(row.calls for row in TABLE if row.name == name)
        return {
            row.target: self.grpc[row.name]
            for row in TABLE
            if row.name in calls and row.name in self.grpc_ports
        }


def plan(gateway_port: int, services: Sequence[str] = STARTED) -> Layout:
    """Choose free ports; the gateway's is the asked one if nobody has it."""
    rows = [row for row in TABLE if row.name in services]
    with_grpc = [row.name for row in rows if row.has_grpc]
    chat_port, *ports = free_ports(1 + len(rows) + len(with_grpc))
    http_ports = dict(zip((row.name for row in rows), ports, strict=False))
    grpc_ports = dict(zip(with_grpc, ports[len(rows) :], strict=True))
    if gateway_port and is_free(gateway_port):
        http_ports["gateway"] = gateway_port
    return Layout(http_ports, grpc_ports, chat_port)


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


def service_of(name: str) -> Service:
    return next(row for row in TABLE if row.name == name)


def service_process(
    name: str,
    env: Mapping[str, str],
    layout: Layout,
    logs: Path,
    own: Mapping[str, str] | None = None,
) -> ManagedProcess:
    """One service as a child process that counts as started when it says that it is ready.

    `own` is what this one alone may know.
    """
    url = layout.http[name]
    ports = {"TELEGLAS_HTTP__PORT": str(layout.http_ports[name])}
    if name in layout.grpc_ports:
        ports["TELEGLAS_GRPC__PORT"] = str(layout.grpc_ports[name])
    return ManagedProcess(
        name,
        [sys.executable, "-m", f"teleglas_{name.replace('-', '_')}.main"],
        {**env, **ports, **layout.targets(name), **(own or {})},
        logs / f"{name}.log",
        lambda: answers(f"{url}/ready"),
        ready_timeout_s=READY_TIMEOUT_S,
        gives_way=name in GIVE_WAY,
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
