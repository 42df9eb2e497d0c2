"""`teleglas doctor`: what is missing or unhealthy, in plain words."""

from __future__ import annotations

import asyncio

import click

from teleglas_cli.running import NotRunningError, Running, state_dir
from teleglas_cli.stack.doctor import Finding, Health, examine_machine, examine_running
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.stack.signals import examine_metrics, examine_prometheus

__all__ = ["doctor"]


@click.command()
@click.option("--prometheus", metavar="URL", help="Ask this Prometheus for the alerts that fire.")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME=URL",
    help="Ask this service for its metrics instead of a stack of this machine; may be repeated.",
)
def doctor(prometheus: str | None, services: tuple[str, ...]) -> None:
    """Say what this machine, the running stack or the services at given addresses lack."""
    asked = dict(_pair(text) for text in services)
    if prometheus or asked:
        findings = asyncio.run(_elsewhere(prometheus, asked))
    else:
        findings = [*examine_machine(state_dir()), *asyncio.run(_running())]
    for finding in findings:
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        click.echo(f"{finding.health.value:<8} {finding.subject:<22} {finding.detail}{remedy}")
    raise SystemExit(any(finding.health is Health.PROBLEM for finding in findings))


def _pair(text: str) -> tuple[str, str]:
    name, separator, url = text.partition("=")
    if not separator or not url:
        raise click.UsageError(f"expected NAME=URL, was {text!r}")
    return name, url


async def _elsewhere(prometheus: str | None, services: dict[str, str]) -> list[Finding]:
    found = await examine_prometheus(prometheus) if prometheus else []
    return [*found, *await examine_metrics(services)]


async def _running() -> list[Finding]:
    try:
        running = Running.read()
    except NotRunningError as error:
        return [Finding("running stack", Health.WARNING, str(error))]
    addresses = StackAddresses(running.kafka_bootstrap, running.postgres_dsn, running.redis_url)
    served = dict(running.services)
    signals = await examine_metrics(served)
    if running.chat_url:
        served["botapi"] = running.chat_url
    return [*await examine_running(addresses, served), *signals]
