"""`teleglas acls FILE`: what each user may do in the log, for brokers without an operator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import yaml

from teleglas_cli.connect import kafka_section
from teleglas_common.bus.kafka.acls import Rule, allow
from teleglas_common.bus.ports import BusError
from teleglas_common.kafka import kafka_settings

__all__ = ["acls", "rules_in"]


def rules_in(text: str) -> list[Rule]:
    """The rules of a table with `users`, as deploy/helm/teleglas/topics.yaml has."""
    users: dict[str, list[dict[str, Any]]] = yaml.safe_load(text)["users"]
    return [
        Rule(user, row["resource"], row["name"], row["pattern"], operation)
        for user, rows in users.items()
        for row in rows
        for operation in row["operations"]
    ]


@click.command()
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def acls(table: Path) -> None:
    """Allow each user what TABLE says; the broker refuses the rest. Safe to run again."""
    settings = kafka_settings(kafka_section(), "teleglas-acls")
    rules = rules_in(table.read_text(encoding="utf-8"))
    try:
        asyncio.run(allow(settings, rules))
    except BusError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{len(rules)} rules stand")
