"""`teleglas doctor`: what is missing or unhealthy, in plain words."""

from __future__ import annotations

import asyncio

import click

from teleglas_cli.running import NotRunningError, Running, state_dir
from teleglas_cli.stack.doctor import Finding, Health, examine_machine, examine_running
from teleglas_cli.stack.local import StackAddresses

__all__ = ["doctor"]


@click.command()
def doctor() -> None:
    """Say what this machine or the running stack lacks."""
    findings = [*examine_machine(state_dir()), *asyncio.run(_running())]
    for finding in findings:
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        click.echo(f"{finding.health.value:<8} {finding.subject:<22} {finding.detail}{remedy}")
    raise SystemExit(any(finding.health is Health.PROBLEM for finding in findings))


async def _running() -> list[Finding]:
    try:
        running = Running.read()
    except NotRunningError as error:
        return [Finding("running stack", Health.WARNING, str(error))]
    addresses = StackAddresses(running.kafka_bootstrap, running.postgres_dsn, running.redis_url)
    served = dict(running.services)
    if running.chat_url:
        served["botapi"] = running.chat_url
    return await examine_running(addresses, served)
