"""What `teleglas doctor` reads out of metrics and alerts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from teleglas_cli.stack.doctor import Health
from teleglas_cli.stack.ports import LOOPBACK
from teleglas_cli.stack.signals import (
    DEPENDENCIES,
    RUNBOOKS,
    SIGNALS,
    examine_metrics,
    examine_prometheus,
)
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.registry import registered

PROJECT = Path(__file__).parents[3]
Answer = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def serving(path: str, answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get(path, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_signals_are_registered_and_name_sections_of_the_runbooks() -> None:
    """Metrics, their labels and the sections exist."""
    lines = (PROJECT / RUNBOOKS).read_text(encoding="utf-8").splitlines()
    anchors = {line[3:].lower().replace(" ", "-") for line in lines if line.startswith("## ")}
    assert set(DEPENDENCIES.values()) <= anchors
    for signal in SIGNALS:
        labels = set(re.findall(r"\{(\w+)\}", signal.says))
        assert labels <= set(registered()[signal.metric].labels)
        assert signal.runbook in anchors


async def test_a_fault_in_metrics_is_named_with_its_runbook() -> None:
    """Of a page as services serve it: what is wrong, how bad it is, and where to read on."""
    metrics = Metrics.of("notification")
    metrics.gauge("teleglas_service_ready").set(1)
    metrics.gauge("teleglas_service_dependency_up", "postgres").set(0)
    metrics.gauge("teleglas_service_dependency_up", "kafka").set(1)
    metrics.gauge("teleglas_notification_outbox_age_seconds", "telegram").set(300)
    metrics.counter("teleglas_bus_poison_total", "some.topic", "decode_failed").inc(2)

    async def page(_request: web.Request) -> web.Response:
        body, kind = metrics.page("")
        return web.Response(body=body, headers={"content-type": kind})

    async with serving("/metrics", page) as url:
        found = await examine_metrics({"notification": url, "gateway": f"http://{LOOPBACK}:1"})
    told = {finding.detail: finding for finding in found}
    away = told["gets no answer from postgres"]
    assert (away.health, away.subject) == (Health.PROBLEM, "notification")
    assert away.remedy.endswith("runbooks.md#postgresql-does-not-answer")
    assert told["holds a message for telegram since 300 s"].health is Health.PROBLEM
    buried = told["has buried 2 records of some.topic since it began: decode_failed"]
    assert buried.health is Health.WARNING
    assert len(found) == 3


async def test_a_healthy_service_is_said_to_be_so() -> None:
    """Counters at 0 are no faults."""
    metrics = Metrics.of("market-data")
    metrics.gauge("teleglas_service_ready").set(1)

    async def page(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.page("")[0])

    async with serving("/metrics", page) as url:
        (finding,) = await examine_metrics({"market-data": url})
    assert finding.health is Health.OK


def alert(name: str, severity: str, state: str = "firing") -> dict[str, object]:
    return {
        "labels": {"alertname": name, "severity": severity},
        "annotations": {"summary": f"{name} it is", "runbook": f"{RUNBOOKS}#x"},
        "state": state,
    }


async def alerts_told(*alerts: dict[str, object]) -> list[tuple[str, Health, str]]:
    async def told(_request: web.Request) -> web.Response:
        return web.json_response({"status": "success", "data": {"alerts": alerts}})

    async with serving("/api/v1/alerts", told) as url:
        found = await examine_prometheus(url)
    return [(finding.subject, finding.health, finding.remedy) for finding in found]


async def test_alerts_that_fire_are_told_by_severity() -> None:
    """Pages are problems, tickets are warnings, what only pends is left out."""
    found = await alerts_told(
        alert("Watchdog", "none"),
        alert("ServiceDown", "page"),
        alert("DeadLetters", "ticket"),
        alert("OutboxOld", "page", "pending"),
    )
    assert found == [
        ("ServiceDown", Health.PROBLEM, f"see {RUNBOOKS}#x"),
        ("DeadLetters", Health.WARNING, f"see {RUNBOOKS}#x"),
    ]


async def test_a_prometheus_without_our_rules_or_none_at_all_is_a_problem() -> None:
    """Silence is not health."""
    assert (await alerts_told())[0][1] is Health.PROBLEM
    assert (await alerts_told(alert("Watchdog", "none")))[0][1] is Health.OK
    (finding,) = await examine_prometheus(f"http://{LOOPBACK}:1")
    assert finding.health is Health.PROBLEM
