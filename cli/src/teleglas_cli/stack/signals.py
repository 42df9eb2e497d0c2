"""What the services' own metrics, or Prometheus' alerts, say is wrong, each with its runbook."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from teleglas_cli.stack.doctor import Finding, Health

__all__ = [
    "RUNBOOKS",
    "SIGNALS",
    "Sample",
    "Signal",
    "examine_metrics",
    "examine_prometheus",
]

RUNBOOKS = "docs/operations/runbooks.md"
TIMEOUT_S = 5.0
MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one process."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Signal:
    """A metric that tells a fault by itself: `wrong` judges one value of it, `says` puts it into
    words. `health` is WARNING for what happened since the process began and may be over.
    """

    metric: str
    wrong: Callable[[float], bool]
    says: str
    runbook: str
    health: Health


def _is_zero(value: float) -> bool:
    return value == 0


def _above(limit: float) -> Callable[[float], bool]:
    return lambda value: value > limit


SIGNALS = (
    Signal(
        "teleglas_service_ready", _is_zero, "is not ready", "a-service-is-not-ready", Health.PROBLEM
    ),
    Signal(
        "teleglas_service_dependency_up",
        _is_zero,
        "gets no answer from {dependency}",
        "kafka-does-not-answer",
        Health.PROBLEM,
    ),
    Signal(
        "teleglas_ingest_connections",
        _is_zero,
        "has no connection to {venue}",
        "nothing-comes-from-a-venue",
        Health.PROBLEM,
    ),
    Signal(
        "teleglas_market_watermark_age_seconds",
        _above(60),
        "knows {venue} as it was {value:.0f} s ago",
        "nothing-comes-from-a-venue",
        Health.PROBLEM,
    ),
    Signal(
        "teleglas_ingest_open_gaps",
        _above(0),
        "has {value:.0f} open gaps in {channel} of {venue}",
        "trades-or-books-of-a-venue-have-gaps",
        Health.WARNING,
    ),
    Signal(
        "teleglas_ingest_lost_trades_total",
        _above(0),
        "has lost {value:.0f} trades of {venue} since it began",
        "trades-or-books-of-a-venue-have-gaps",
        Health.WARNING,
    ),
    Signal(
        "teleglas_ingest_refused_total",
        _above(0),
        "has refused {value:.0f} frames of {venue} since it began: {cause}",
        "a-dead-letter-topic-grows",
        Health.WARNING,
    ),
    Signal(
        "teleglas_bus_lag_records",
        _above(20_000),
        "is {value:.0f} records behind in partition {partition} of {topic}",
        "a-consumer-falls-behind",
        Health.PROBLEM,
    ),
    Signal(
        "teleglas_bus_poison_total",
        _above(0),
        "has buried {value:.0f} records of {topic} since it began: {cause}",
        "a-dead-letter-topic-grows",
        Health.WARNING,
    ),
    Signal(
        "teleglas_bus_lost_records_total",
        _above(0),
        "has missed {value:.0f} records of {topic} that retention took",
        "records-were-lost",
        Health.PROBLEM,
    ),
    Signal(
        "teleglas_notification_outbox_age_seconds",
        _above(60),
        "holds a message for {channel} since {value:.0f} s",
        "messages-do-not-arrive",
        Health.PROBLEM,
    ),
    Signal(
        "teleglas_prediction_registry_refusals_total",
        _above(0),
        "does not use {value:.0f} model files: {cause}",
        "a-model-of-the-registry-is-refused",
        Health.WARNING,
    ),
)
DEPENDENCIES = {
    "kafka": "kafka-does-not-answer",
    "postgres": "postgresql-does-not-answer",
    "redis": "redis-does-not-answer",
}


def _judge(service: str, samples: Iterable[Sample]) -> list[Finding]:
    """What is wrong with one service; one line that all is well if nothing is."""
    by_name = {signal.metric: signal for signal in SIGNALS}
    found: list[Finding] = []
    for sample in samples:
        signal = by_name.get(sample.name)
        if signal is None or not signal.wrong(sample.value):
            continue
        anchor = DEPENDENCIES.get(sample.labels.get("dependency", ""), signal.runbook)
        detail = signal.says.format(value=sample.value, **sample.labels)
        found.append(Finding(service, signal.health, detail, f"see {RUNBOOKS}#{anchor}"))
    return found or [Finding(service, Health.OK, "its metrics tell no fault")]


async def examine_metrics(services: Mapping[str, str]) -> list[Finding]:
    """Ask each service for `/metrics`; one that does not answer is told of elsewhere."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        pages = await asyncio.gather(*(_page(session, url) for url in services.values()))
    return [
        finding
        for name, page in zip(services, pages, strict=True)
        if page is not None
        for finding in _judge(name, _samples(page))
    ]


async def examine_prometheus(url: str) -> list[Finding]:
    """The alerts that fire, as Prometheus at `url` says it."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url.rstrip('/')}/api/v1/alerts") as answer,
        ):
            answer.raise_for_status()
            alerts = (await answer.json())["data"]["alerts"]
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
        detail = f"{url} does not tell its alerts: {type(error).__name__} {error}"
        return [Finding("prometheus", Health.PROBLEM, detail, "give --prometheus its base URL")]
    firing = [one for one in alerts if one["state"] == "firing"]
    if not any(one["labels"]["alertname"] == "Watchdog" for one in firing):
        detail = "Watchdog does not fire: our rules are not loaded"
        remedy = f"see {RUNBOOKS}#the-watchdog-is-not-heard"
        return [Finding("prometheus", Health.PROBLEM, detail, remedy)]
    found = [_finding(one) for one in firing if one["labels"]["alertname"] != "Watchdog"]
    return found or [Finding("prometheus", Health.OK, "no alert fires")]


def _finding(alert: Mapping[str, Mapping[str, str]]) -> Finding:
    labels, notes = alert["labels"], alert["annotations"]
    wakes = labels.get("severity") == "page"
    return Finding(
        labels["alertname"],
        Health.PROBLEM if wakes else Health.WARNING,
        notes.get("summary", ""),
        f"see {notes.get('runbook', RUNBOOKS)}",
    )


async def _page(session: aiohttp.ClientSession, url: str) -> str | None:
    try:
        async with session.get(f"{url.rstrip('/')}/metrics") as answer:
            if answer.status != 200:
                return None
            body = await answer.content.read(MAX_BYTES)
            return body.decode("utf-8", errors="replace")
    except (aiohttp.ClientError, TimeoutError):
        return None


def _samples(page: str) -> Iterable[Sample]:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield Sample(sample.name, sample.labels, sample.value)
