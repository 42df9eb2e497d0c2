"""`teleglas redrive TOPIC`: send dead letters back when their fault is mended."""

from __future__ import annotations

import asyncio

import click

from teleglas_cli.commands.topics import named
from teleglas_cli.connect import bus
from teleglas_common.bus.redrive import RedriveReport
from teleglas_common.bus.redrive import redrive as send_back

__all__ = ["redrive"]


@click.command()
@click.argument("topic")
@click.option("--cause", "causes", multiple=True, help="Only dead letters of this cause.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
def redrive(topic: str, causes: tuple[str, ...], limit: int | None) -> None:
    """Send the dead letters of TOPIC back to the partitions that they came from."""
    source = named(topic)
    if source.dead_letter is None:
        raise click.BadParameter(f"{source.name} has no dead-letter topic")
    report = asyncio.run(_redrive(source.dead_letter, causes, limit))
    for cause, count in sorted(report.sent.items()):
        click.echo(f"{count:>8} {cause} sent back to {source.name}")
    if report.skipped:
        click.echo(f"{report.skipped:>8} never were records and stay where they are")
    if not report.sent and not report.skipped:
        click.echo("nothing to send back")


async def _redrive(dead_letter: str, causes: tuple[str, ...], limit: int | None) -> RedriveReport:
    log = bus()
    publisher = log.publisher()
    await publisher.start()
    try:
        return await send_back(log, publisher, dead_letter, causes=causes, limit=limit)
    finally:
        await publisher.stop()
