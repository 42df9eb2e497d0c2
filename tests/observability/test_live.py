"""A product under a real Prometheus: queries have data, spans arrive, forecasts are held to."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from scripts.observability.dashboards import ELSEWHERE, dashboards
from scripts.observability.rules import alerts, rules
from teleglas_cli.up.services import TABLE
from teleglas_common.testing import eventually
from tests.observability.stack import SHRUNK, Prometheus
from tests.observability.world import World

pytestmark = [
    pytest.mark.observability,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]

TRACE_SETTLES_S = 15.0
"""A trace is judged and stored so long after its first span."""
LATER = ("teleglas_prediction_coverage_ratio", "teleglas_prediction_width_ratio",
         "teleglas_prediction_pinball_loss_ratio")  # fmt: skip
"""Known when the first forecast is resolved, five minutes after it was made: asked for last."""
NEVER = {
    "teleglas_prediction_skill_ratio": "only trained models have skill; the registry is empty",
}


def queries(*, skip: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Every query of every dashboard that our own metrics fill, with where it stands."""
    for name, model in dashboards().items():
        if name in ELSEWHERE:
            continue
        for panel in model["panels"]:
            for target in panel.get("targets", ()):
                expr = SHRUNK.within(target["expr"].replace("$__rate_interval", "20s"))
                if not any(metric in expr for metric in skip):
                    yield f"{name}: {panel['title']}", expr


def selectors(expr: str) -> set[str]:
    """The series that a rule stands on."""
    found = re.findall(r"\b((?:teleglas|process|up|otelcol)[a-z_:0-9]*(?:\{[^}]*\})?)", expr)
    return {one for one in found if not one.startswith("up") or one[2:3] in ("", "{")}


async def assert_filled(prometheus: Prometheus, wanted: Sequence[tuple[str, str]]) -> None:
    empty = [where for where, expr in wanted if not await prometheus.query(expr)]
    assert not empty, f"{len(empty)} of {len(wanted)} queries without data: {empty}"


async def test_every_query_has_data(world: World) -> None:
    """Dashboards and rules find what they ask for; what cannot be there is named with a reason."""
    wanted = list(queries(skip=(*LATER, *NEVER)))
    wanted += [
        (f"rule {rule['record']}", rule["record"])
        for group in rules(SHRUNK)["groups"]
        for rule in group["rules"]
        if "record" in rule
    ]
    wanted += [
        (f"alert {rule['alert']}: {series}", series)
        for rule in alerts(rules(SHRUNK))
        for series in selectors(rule["expr"])
        if not any(metric in series for metric in (*LATER, *NEVER))
    ]
    await eventually(lambda: assert_filled(world.prometheus, wanted), timeout_s=300, every_s=3)
    print(f"{len(wanted)} queries have data; not asked: {ELSEWHERE | NEVER}")


async def test_histograms_lead_to_traces(world: World) -> None:
    """An exemplar of a histogram names a trace that Jaeger has."""

    async def assert_led() -> None:
        found = await world.prometheus.exemplars(
            '{__name__=~"teleglas_gateway_(freshness|request)_seconds_bucket"}'
        )
        settled_s = time.time() - TRACE_SETTLES_S
        seen = sorted(
            (one["timestamp"], one["labels"]["trace_id"])
            for row in found
            for one in row["exemplars"]
            if one["timestamp"] < settled_s
        )
        assert seen, "expected exemplars"
        assert all([await world.traced.jaeger.trace(one) for _, one in seen[-20:]])

    await eventually(assert_led, timeout_s=90, every_s=2)


async def test_a_message_is_traced_back_to_its_frames(world: World) -> None:
    """In Jaeger, from the call of Telegram over links and parents to the venue's frame, and from
    there to every service.
    """
    jaeger = world.traced.jaeger

    async def assert_found() -> str:
        chats = await jaeger.traces("notification", "send telegram")
        for chat in chats:
            services, names = await reached(jaeger, chat)
            if {"receive trades", "publish alert", "send telegram"} <= names and services == {
                row.name for row in TABLE
            }:
                return f"{len(names)} kinds of spans of {len(services)} services"
        raise AssertionError(f"{len(chats)} messages, none with all services behind it")

    print(await eventually(assert_found, timeout_s=240, every_s=5))


async def reached(jaeger: Any, start: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Services and span names of a trace, of those that it links to, and of those that link to
    them.
    """
    seen: dict[str, dict[str, Any]] = {}
    waiting = deque([start])
    while waiting and len(seen) < 80:
        trace = waiting.popleft()
        if trace["traceID"] in seen:
            continue
        seen[trace["traceID"]] = trace
        for origin in origins(trace) - seen.keys():
            found = await jaeger.trace(origin)
            if found is not None:
                waiting.append(found)
    for service, operation in (
        ("market-data", "publish candles"),
        ("signal-scorer", "publish score"),
        ("prediction", "publish forecasts"),
    ):
        for trace in await jaeger.traces(service, operation, limit=300):
            if origins(trace) & seen.keys():
                seen[trace["traceID"]] = trace
    services = {
        process["serviceName"] for trace in seen.values() for process in trace["processes"].values()
    }
    names = {span["operationName"] for trace in seen.values() for span in trace["spans"]}
    return services, names


def origins(trace: dict[str, Any]) -> set[str]:
    return {
        reference["traceID"]
        for span in trace["spans"]
        for reference in span.get("references", ())
        if reference["traceID"] != trace["traceID"]
    }


async def test_forecasts_are_held_to_what_happened(world: World) -> None:
    """The queries that wait for the first resolved forecast have data in the end."""
    wanted = [one for one in queries(skip=tuple(NEVER)) if any(name in one[1] for name in LATER)]
    assert wanted
    await eventually(lambda: assert_filled(world.prometheus, wanted), timeout_s=600, every_s=5)
