"""Prometheus, Alertmanager, the Collector and Jaeger beside a product, on free ports."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from scripts.observability.rules import rules
from scripts.observability.windows import Windows
from teleglas_cli.stack.ports import free_ports
from teleglas_cli.stack.process import ManagedProcess
from teleglas_cli.up.services import answers
from teleglas_common.testing import eventually
from tests.observability.tools import ALERTMANAGER, JAEGER, PROMETHEUS, tool

__all__ = ["Jaeger", "Prometheus", "Traced", "alerting", "scraping", "tracing"]

SOURCES = Path(__file__).parents[2] / "deploy/observability"
LOOPBACK = "127.0.0.1"
SHRUNK = Windows(scale=1 / 180, least_s=5, cause_least_s=20)
"""An hour is 20 s, five minutes are 5 s: the shortest in which a scrape a second gives a rate."""
Json = dict[str, Any]


async def fetched(url: str, **params: str) -> Any:
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, params=params) as response,
    ):
        # Jaeger's word that it has no such trace is JSON that is called text.
        return await response.json(content_type=None)


@dataclass(slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    async def query(self, expr: str) -> list[Json]:
        answer = await fetched(f"{self.url}/api/v1/query", query=expr)
        assert answer["status"] == "success", f"{expr}: {answer.get('error')}"
        found = answer["data"]["result"]
        return found if isinstance(found, list) else [found]

    async def firing(self) -> set[tuple[str, str, str]]:
        """Name, severity and window of every alert that fires."""
        answer = await fetched(f"{self.url}/api/v1/alerts")
        return {
            (
                alert["labels"]["alertname"],
                alert["labels"]["severity"],
                alert["labels"].get("window", ""),
            )
            for alert in answer["data"]["alerts"]
            if alert["state"] == "firing"
        }

    async def exemplars(self, expr: str) -> list[Json]:
        answer = await fetched(f"{self.url}/api/v1/query_exemplars", query=expr)
        found: list[Json] = answer["data"]
        return found


@dataclass(slots=True)
class Jaeger:
    """A running Jaeger's query API."""

    url: str
    process: ManagedProcess

    async def traces(self, service: str, operation: str = "", limit: int = 20) -> list[Json]:
        params = {"service": service, "limit": str(limit), "lookback": "1h"}
        if operation:
            params["operation"] = operation
        answer = await fetched(f"{self.url}/api/traces", **params)
        found: list[Json] = answer.get("data") or []
        return found

    async def trace(self, trace_id: str) -> Json | None:
        answer = await fetched(f"{self.url}/api/traces/{trace_id}")
        found: list[Json] = answer.get("data") or []
        return found[0] if found else None


@dataclass(slots=True)
class Traced:
    """Where spans go, and where they are seen. `metrics` are what Prometheus scrapes, by name."""

    endpoint: str
    jaeger: Jaeger
    collector: ManagedProcess
    metrics: Mapping[str, str]


@asynccontextmanager
async def tracing(
    folder: Path, *, share: float = 100, wait: str = "3s", max_traces: int = 60_000
) -> AsyncIterator[Traced]:
    """The Collector and Jaeger by the configurations that are deployed."""
    binary = tool(JAEGER)
    ports = free_ports(9)
    otlp, query, query_grpc, health, metrics, grpc, http, health2, metrics2 = map(str, ports)
    jaeger = ManagedProcess(
        "jaeger",
        [binary, f"--config={SOURCES / 'jaeger.yaml'}"],
        {
            **os.environ,
            "JAEGER_LISTEN": LOOPBACK,
            "JAEGER_OTLP_PORT": otlp,
            "JAEGER_QUERY_PORT": query,
            "JAEGER_QUERY_GRPC_PORT": query_grpc,
            "JAEGER_HEALTH_PORT": health,
            "JAEGER_METRICS_PORT": metrics,
            "JAEGER_MAX_TRACES": str(max_traces),
        },
        folder / "jaeger.log",
        lambda: answers(f"http://{LOOPBACK}:{query}/api/services"),
        ready_timeout_s=90,
    )
    collector = ManagedProcess(
        "collector",
        [binary, f"--config={SOURCES / 'collector.yaml'}"],
        {
            **os.environ,
            "TELEGLAS_TRACES_LISTEN": LOOPBACK,
            "TELEGLAS_TRACES_TO": f"{LOOPBACK}:{otlp}",
            "TELEGLAS_TRACES_GRPC_PORT": grpc,
            "TELEGLAS_TRACES_HTTP_PORT": http,
            "TELEGLAS_TRACES_HEALTH_PORT": health2,
            "TELEGLAS_TRACES_METRICS_PORT": metrics2,
            "TELEGLAS_TRACES_SHARE": f"{share:g}",
            "TELEGLAS_TRACES_WAIT": wait,
            "TELEGLAS_TRACES_RETRY": "6s",
        },
        folder / "collector.log",
        lambda: answers(f"http://{LOOPBACK}:{metrics2}/metrics"),
        ready_timeout_s=90,
    )
    await jaeger.start()
    try:
        await collector.start()
        yield Traced(
            f"http://{LOOPBACK}:{grpc}",
            Jaeger(f"http://{LOOPBACK}:{query}", jaeger),
            collector,
            {"otel-collector": f"{LOOPBACK}:{metrics2}", "jaeger": f"{LOOPBACK}:{metrics}"},
        )
    finally:
        await collector.stop(5)
        await jaeger.stop(5)


@dataclass(slots=True)
class Told:
    """What receivers were told, by receiver."""

    alerts: dict[str, list[Json]] = field(default_factory=dict)

    def names(self, receiver: str, status: str = "firing") -> set[str]:
        return {
            alert["labels"]["alertname"]
            for alert in self.alerts.get(receiver, ())
            if alert["status"] == status
        }

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.alerts.setdefault(request.match_info["receiver"], []).extend(body["alerts"])
        return web.Response()


@asynccontextmanager
async def alerting(folder: Path) -> AsyncIterator[tuple[str, Told]]:
    """Alertmanager by the configuration that is deployed, with receivers of ours and no waits."""
    told = Told()
    app = web.Application()
    app.router.add_post("/{receiver}", told.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    receivers = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    text = (SOURCES / "alertmanager/alertmanager.yml").read_text()
    text = re.sub(r"url_file: \S+/(\w+)-url", rf"url: {receivers}/\1", text)
    text = re.sub(r"(group_wait|group_interval|repeat_interval): \w+", r"\1: 1s", text)
    path = folder / "alertmanager.yml"
    path.write_text(text)
    port = free_ports(1)[0]
    process = ManagedProcess(
        "alertmanager",
        [
            tool(ALERTMANAGER),
            f"--config.file={path}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={LOOPBACK}:{port}",
            "--cluster.listen-address=",
        ],
        dict(os.environ),
        folder / "alertmanager.log",
        lambda: answers(f"http://{LOOPBACK}:{port}/-/ready"),
    )
    await process.start()
    try:
        yield f"{LOOPBACK}:{port}", told
    finally:
        await process.stop(5)
        await runner.cleanup()


@asynccontextmanager
async def scraping(
    folder: Path, targets: Mapping[str, str], alertmanager: str
) -> AsyncIterator[Prometheus]:
    """Prometheus by the configuration that is deployed, a scrape a second, lengths shrunk."""
    home = folder / "prometheus"
    for name in ("rules", "targets", "alertmanagers"):
        (home / name).mkdir(parents=True)
    text = (SOURCES / "prometheus/prometheus.yml").read_text()
    text = re.sub(r"(scrape_interval|scrape_timeout|evaluation_interval): \w+", r"\1: 1s", text)
    (home / "prometheus.yml").write_text(text)
    (home / "rules/teleglas.yml").write_text(yaml.safe_dump(rules(SHRUNK)))
    listed = [
        {"targets": [address], "labels": {"service": name}} for name, address in targets.items()
    ]
    (home / "targets/local.yml").write_text(yaml.safe_dump(listed))
    (home / "alertmanagers/local.yml").write_text(yaml.safe_dump([{"targets": [alertmanager]}]))
    port = free_ports(1)[0]
    process = ManagedProcess(
        "prometheus",
        [
            tool(PROMETHEUS),
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address={LOOPBACK}:{port}",
            "--enable-feature=exemplar-storage",
        ],
        dict(os.environ),
        folder / "prometheus.log",
        lambda: answers(f"http://{LOOPBACK}:{port}/-/ready"),
    )
    async with AsyncExitStack() as cleanup:
        await process.start()
        cleanup.push_async_callback(process.stop, 5)
        found = Prometheus(f"http://{LOOPBACK}:{port}")

        async def all_are_up() -> bool:
            seen = {row["metric"]["service"] for row in await found.query("up == 1")}
            return seen == set(targets)

        await eventually(all_are_up, timeout_s=60, every_s=0.5)
        yield found
        await asyncio.sleep(0)
