"""`teleglas backup` and `teleglas restore`: the database into a file, and back."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import click

from teleglas_cli.backup import archive
from teleglas_cli.backup.archive import BackupError, Manifest
from teleglas_cli.backup.programs import ProgramError
from teleglas_cli.connect import database
from teleglas_common.postgres import dsn_of

__all__ = ["backup", "restore"]


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Write the database to FILE while services work, with a manifest beside it.

    It is of TELEGLAS_POSTGRES__DSN, else of the running stack. API keys (hashed), subscribers and
    webhook addresses are in it: keep it as you keep the database.
    """
    began = time.monotonic()
    manifest = _run(archive.backup(dsn_of(database()), file))
    click.echo(f"{file}: {_told(manifest)}, taken in {time.monotonic() - began:.1f} s")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Drop what the services' schemas hold now.")
def restore(file: Path, replace: bool) -> None:
    """Bring the database back from FILE, and check that every row is there.

    Stop the services first. When they start again they read on from the offsets in the backup.
    """
    began = time.monotonic()
    manifest = _run(archive.restore(dsn_of(database()), file, replace=replace))
    click.echo(f"{file}: {_told(manifest)}, back and checked in {time.monotonic() - began:.1f} s")
    click.echo(f"API keys revoked after {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC hold again.")


def _told(manifest: Manifest) -> str:
    return (
        f"{manifest.rows:,} rows of {len(manifest.tables)} tables,"
        f" {manifest.archive_bytes / 1e6:.1f} MB"
    )


def _run(work: Coroutine[Any, Any, Manifest]) -> Manifest:
    os.umask(0o077)
    try:
        return asyncio.run(work)
    except (BackupError, ProgramError, OSError, asyncpg.PostgresError) as error:
        raise click.ClickException(str(error)) from None
