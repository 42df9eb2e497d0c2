"""API keys in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from uuid import UUID

import asyncpg

from teleglas_common.postgres import Migration, migrations_in
from teleglas_gateway.domain.keys import KeyRecord
from teleglas_gateway.domain.problems import Code, Problem

__all__ = ["SCHEMA", "PostgresKeys", "migrations"]

SCHEMA = "gateway"
_AWAY = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)
_COLUMNS = (
    "key_id, prefix, digest, name, tenant_id, principal_id, scopes,"
    " created_at, expires_at, revoked_at"
)
_FIND = f"SELECT {_COLUMNS} FROM {SCHEMA}.api_keys WHERE prefix = $1"  # noqa: S608  # constants
_LIST = (
    f"SELECT {_COLUMNS} FROM {SCHEMA}.api_keys"  # noqa: S608  # constants
    " WHERE tenant_id = $1 ORDER BY created_at, prefix"
)
_ADD = (
    f"INSERT INTO {SCHEMA}.api_keys ({_COLUMNS})"  # noqa: S608  # constants
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
_REVOKE = (
    f"UPDATE {SCHEMA}.api_keys SET revoked_at = now()"  # noqa: S608  # constants
    " WHERE tenant_id = $1 AND prefix = $2 AND revoked_at IS NULL"
    " RETURNING principal_id"
)
_LIVE = (
    f"SELECT key_id FROM {SCHEMA}.api_keys WHERE key_id = ANY($1)"  # noqa: S608  # constants
    " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
)
_AUDIT = (
    f"INSERT INTO {SCHEMA}.audit (tenant_id, principal_id, action, subject)"  # noqa: S608
    " VALUES ($1, $2, $3, $4)"
)


def migrations() -> list[Migration]:
    """The gateway's schema."""
    return migrations_in(Path(__file__).parents[1] / "migrations")


class PostgresKeys:
    """Raises `auth_unavailable` while the database does not answer."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def find(self, prefix: str) -> KeyRecord | None:
        try:
            row = await self._pool.fetchrow(_FIND, prefix)
        except _AWAY as error:
            raise _away(error) from error
        return None if row is None else _record(row)

    async def add(self, record: KeyRecord) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                _ADD,
                UUID(record.key_id),
                record.prefix,
                record.digest,
                record.name,
                record.tenant_id,
                record.principal_id,
                sorted(record.scopes),
                record.created_at,
                record.expires_at,
                record.revoked_at,
            )
            await connection.execute(
                _AUDIT, record.tenant_id, record.principal_id, "key.created", record.prefix
            )

    async def list(self, tenant_id: str) -> list[KeyRecord]:
        return [_record(row) for row in await self._pool.fetch(_LIST, tenant_id)]

    async def revoke(self, tenant_id: str, prefix: str) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            principal_id = await connection.fetchval(_REVOKE, tenant_id, prefix)
            if principal_id is not None:
                await connection.execute(_AUDIT, tenant_id, principal_id, "key.revoked", prefix)
        return principal_id is not None

    async def dead(self, key_ids: Collection[str]) -> set[str]:
        try:
            rows = await self._pool.fetch(_LIVE, [UUID(key_id) for key_id in key_ids])
        except _AWAY as error:
            raise _away(error) from error
        return set(key_ids) - {str(row["key_id"]) for row in rows}


def _away(error: BaseException) -> Problem:
    return Problem(Code.AUTH_UNAVAILABLE, f"expected the key store to answer: {error!r}"[:200])


def _record(row: asyncpg.Record) -> KeyRecord:
    return KeyRecord(
        key_id=str(row["key_id"]),
        prefix=row["prefix"],
        digest=row["digest"],
        name=row["name"],
        tenant_id=row["tenant_id"],
        principal_id=row["principal_id"],
        scopes=frozenset(row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
