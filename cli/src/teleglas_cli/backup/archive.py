"""One backup is two files: PostgreSQL's archive, and a manifest that says what must be in it."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import BaseModel, ConfigDict

from teleglas_cli.backup.fingerprint import SCHEMAS, Fingerprint, fingerprint
from teleglas_cli.backup.programs import program, run

__all__ = ["BackupError", "Manifest", "backup", "read_manifest", "restore"]

_CONNECT_TIMEOUT_S = 10.0


class BackupError(Exception):
    """A backup that cannot be made, is damaged, or must not be restored here."""


class Manifest(BaseModel):
    """What a backup holds."""

    model_config = ConfigDict(frozen=True)

    taken_at: datetime
    server_version: int
    archive_sha256: str
    archive_bytes: int
    tables: Fingerprint

    @property
    def rows(self) -> int:
        return sum(mark.rows for mark in self.tables.values())


async def backup(dsn: str, archive: Path) -> Manifest:
    """Write the archive and its manifest while services work: both are of one snapshot.

    Offsets stand in the same snapshot as the state that they cover, so the backup is one moment of
    each service, whatever the log has gone on to hold.
    """
    connection: Any = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    scratch = archive.with_name(archive.name + ".part")
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            major = _major(connection)
            scratch.touch(mode=0o600)
            command = [str(program("pg_dump", major)), "--format=custom", "--no-owner"]
            command += ["--no-privileges", f"--snapshot={snapshot}", f"--file={scratch}"]
            command += [f"--schema={schema}" for schema in SCHEMAS]
            tables = await fingerprint(connection)
            await run(command, dsn)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    finally:
        connection.terminate()
    manifest = Manifest(
        taken_at=datetime.now(UTC),
        server_version=major,
        archive_sha256=await asyncio.to_thread(_sha256, scratch),
        archive_bytes=scratch.stat().st_size,
        tables=tables,
    )
    _manifest_path(archive).write_text(manifest.model_dump_json(indent=2) + "\n")
    scratch.replace(archive)
    return manifest


async def restore(dsn: str, archive: Path, *, replace: bool = False) -> Manifest:
    """Bring a backup into a database without services; BackupError unless all of it came back.

    What is there is kept unless `replace`: then it is dropped first.
    """
    manifest = read_manifest(archive)
    if await asyncio.to_thread(_sha256, archive) != manifest.archive_sha256:
        raise BackupError(f"expected {archive} as its manifest describes it, was another file")
    connection: Any = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        await _refuse_busy(connection)
        await _make_room(connection, replace=replace)
        command = [str(program("pg_restore", _major(connection))), "--exit-on-error"]
        command += ["--single-transaction", "--no-owner", "--no-privileges", str(archive)]
        await run(command, dsn)
        found = await fingerprint(connection)
    finally:
        connection.terminate()
    wrong = sorted(
        name
        for name in manifest.tables.keys() | found.keys()
        if manifest.tables.get(name) != found.get(name)
    )
    if wrong:
        raise BackupError(f"expected the tables of the manifest, {', '.join(wrong)} differ")
    return manifest


def read_manifest(archive: Path) -> Manifest:
    """The manifest beside an archive."""
    path = _manifest_path(archive)
    if not path.is_file() or not archive.is_file():
        raise BackupError(f"expected an archive {archive} and its manifest {path.name}")
    return Manifest.model_validate_json(path.read_text())


async def _refuse_busy(connection: Any) -> None:
    rows = await connection.fetch(
        "SELECT DISTINCT application_name AS name FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND application_name LIKE 'teleglas-%' ORDER BY 1"
    )
    if rows:
        names = ", ".join(row["name"] for row in rows)
        raise BackupError(f"expected no service on the database, connected: {names}")


async def _make_room(connection: Any, *, replace: bool) -> None:
    rows = await connection.fetch(
        "SELECT nspname AS name FROM pg_namespace WHERE nspname = ANY($1) ORDER BY 1", list(SCHEMAS)
    )
    names = [row["name"] for row in rows]
    if names and not replace:
        raise BackupError(
            f"expected a database without our schemas, found {', '.join(names)};"
            " --replace drops them first"
        )
    for name in names:
        await connection.execute(f'DROP SCHEMA "{name}" CASCADE', timeout=None)


def _manifest_path(archive: Path) -> Path:
    return archive.with_name(archive.name + ".json")


def _major(connection: Any) -> int:
    return int(connection.get_server_version().major)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
