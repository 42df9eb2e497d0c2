"""PostgreSQL: a pool with bounds, numbered migrations, bulk upserts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from teleglas_common.retry import Backoff, retry
from teleglas_common.settings import PostgresSection

__all__ = [
    "Migration",
    "MigrationError",
    "copy_upsert",
    "create_pool",
    "dsn_of",
    "in_transaction",
    "migrate",
    "migrations_in",
]

MIGRATION_LOCK = 0x7E1E61A5
IDLE_TRANSACTION_TIMEOUT_MS = 60_000
NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

MIGRATION_TIMEOUT_S = 600.0
LOCK_TIMEOUT_MS = 1_000

UNREACHABLE = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TooManyConnectionsError,
)
AGAIN = (
    *UNREACHABLE,
    asyncpg.AdminShutdownError,
    asyncpg.ConnectionFailureError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InterfaceError,
    asyncpg.SerializationError,
)
"""After these a whole transaction may be tried again: nothing of it was kept, or its effects are
the same the second time.
"""
T = TypeVar("T")


class MigrationError(Exception):
    """The migrations on disk and those in the database do not fit together."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of a service's schema."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def dsn_of(section: PostgresSection, dsn: str | None = None) -> str:
    """The DSN with TLS as the section wants it. Files are named, not read: each connection reads
    them when it is opened, so that a replaced certificate is taken up without a restart.
    """
    options = {
        "sslmode": section.ssl_mode,
        "sslrootcert": section.ssl_ca_file,
        "sslcert": section.ssl_cert_file,
        "sslkey": section.ssl_key_file,
    }
    parts = urlsplit(section.dsn.get_secret_value() if dsn is None else dsn)
    query = dict(parse_qsl(parts.query)) | {k: str(v) for k, v in options.items() if v}
    return urlunsplit(parts._replace(query=urlencode(query)))


async def create_pool(
    section: PostgresSection, application: str, *, dsn: str | None = None, min_size: int = 1
) -> asyncpg.Pool[asyncpg.Record]:
    """A connected pool; waits, with back-off, for a database that is still starting.

    A statement that takes too long is given up here and by the server, so that none runs on alone.
    `dsn` is of another server than the section's; with a `min_size` of 0 nothing is waited for.
    """

    async def attempt() -> asyncpg.Pool[asyncpg.Record]:
        return await asyncpg.create_pool(
            dsn_of(section, dsn),
            min_size=min_size,
            max_size=section.pool_size,
            timeout=section.connect_timeout_s,
            command_timeout=section.statement_timeout_s,
            server_settings={
                "application_name": application,
                "timezone": "UTC",
                "statement_timeout": str(round(section.statement_timeout_s * 1_000)),
                "idle_in_transaction_session_timeout": str(IDLE_TRANSACTION_TIMEOUT_MS),
            },
        )

    return await retry(attempt, UNREACHABLE, backoff=Backoff(tries=30, first_s=0.1, max_s=2.0))


async def in_transaction(
    pool: asyncpg.Pool[asyncpg.Record],
    work: Callable[[Any], Awaitable[T]],
    *,
    isolation: Literal["read_committed", "repeatable_read", "serializable"] = "read_committed",
    backoff: Backoff | None = None,
) -> T:
    """Run `work` on a connection within a transaction; again, with back-off, after a conflict or a
    lost connection.

    A commit whose answer was lost may have been kept, so `work` must have the same effect twice.
    """

    async def attempt() -> T:
        async with pool.acquire() as connection, connection.transaction(isolation=isolation):
            return await work(connection)

    return await retry(attempt, AGAIN, backoff=backoff or Backoff(tries=5, first_s=0.05, max_s=2.0))


def migrations_in(folder: Path) -> list[Migration]:
    """The folder's `NNNN_name.sql` files, numbered 1, 2, 3, … without holes."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"expected NNNN_name.sql, was {path.name}")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationError(f"expected migrations 1 to {len(found)}, found {numbers}")
    return found


async def migrate(
    pool: asyncpg.Pool[asyncpg.Record], schema: str, migrations: Sequence[Migration]
) -> list[int]:
    """Apply what is missing, each step in a transaction, and return the applied numbers.

    Safe to run twice and from several processes. A step that was applied with another content is
    an error: write a new one instead of editing it.
    """
    async with pool.acquire() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(
            "SELECT pg_advisory_lock($1)", MIGRATION_LOCK, timeout=MIGRATION_TIMEOUT_S
        )
        try:
            return await _migrate(connection, schema, migrations)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)
            await connection.execute("RESET statement_timeout")


async def _migrate(connection: Any, schema: str, migrations: Sequence[Migration]) -> list[int]:
    await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    await connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{schema}".migrations ('
        "number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = await connection.fetch(f'SELECT number, sha256 FROM "{schema}".migrations')  # noqa: S608
    applied = {row["number"]: row["sha256"] for row in rows}
    done = []
    for migration in migrations:
        known = applied.get(migration.number)
        if known is None:
            await retry(
                partial(_apply, connection, schema, migration),
                asyncpg.LockNotAvailableError,
                backoff=Backoff(tries=60, first_s=0.5, max_s=5.0),
            )
            done.append(migration.number)
        elif known != migration.sha256:
            raise MigrationError(
                f"expected migration {schema} {migration.number} as it was applied, "
                "found another content"
            )
    return done


async def _apply(connection: Any, schema: str, migration: Migration) -> None:
    """One step. It waits only briefly for a table that others hold, because everybody who comes
    later waits behind it.
    """
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        await connection.execute(f'SET LOCAL search_path TO "{schema}"')
        await connection.execute(migration.sql, timeout=MIGRATION_TIMEOUT_S)
        await connection.execute(
            f'INSERT INTO "{schema}".migrations (number, name, sha256) '  # noqa: S608
            "VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.sha256,
        )


async def copy_upsert(
    connection: Any,
    table: str,
    columns: Sequence[str],
    key: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    schema: str,
    update: Collection[str] | None = None,
) -> None:
    """Write rows by COPY into a staging table, then upsert them by `key`.

    `update` names the columns that an existing row takes over (default: all but the key; none at
    all leaves existing rows alone). `rows` must not hold the same key twice. Call it within a
    transaction: the staging table lives as long as that.
    """
    staging = f"staging_{table}"
    names = ", ".join(columns)
    await connection.execute(
        f'CREATE TEMP TABLE IF NOT EXISTS "{staging}" '
        f'(LIKE "{schema}"."{table}" INCLUDING DEFAULTS) ON COMMIT DELETE ROWS'
    )
    await connection.copy_records_to_table(staging, columns=list(columns), records=rows)
    changed = [name for name in columns if name not in key] if update is None else list(update)
    action = (
        "DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in changed)
        if changed
        else "DO NOTHING"
    )
    await connection.execute(
        f'INSERT INTO "{schema}"."{table}" ({names}) '  # noqa: S608
        f'SELECT {names} FROM "{staging}" '
        f"ON CONFLICT ({', '.join(key)}) {action}"
    )
    await connection.execute(f'TRUNCATE "{staging}"')
