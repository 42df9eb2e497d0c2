"""`teleglas migrate`: the schemas of all services."""

from __future__ import annotations

import asyncio

import click

from teleglas_cli.connect import database
from teleglas_cli.schemas import Applied, migrate_all
from teleglas_common.postgres import create_pool

__all__ = ["migrate"]


@click.command()
def migrate() -> None:
    """Bring the database schemas of all services up to date.

    Changes nothing where that was done before. The services do the same at their start, each with
    its own schema.
    """
    for schema in asyncio.run(_migrate()):
        steps = ", ".join(map(str, schema.steps))
        done = f"applied {steps}" if steps else "nothing to apply"
        click.echo(f"{schema.schema:<16} {done}; is at {schema.newest}")


async def _migrate() -> list[Applied]:
    pool = await create_pool(database(), "teleglas-migrate")
    try:
        return await migrate_all(pool)
    finally:
        await pool.close()
