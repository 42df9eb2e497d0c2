"""API keys from the command line: `python -m teleglas_gateway.keys create --name demo`.

The functions are for other commands too; a key is shown once, when it is made.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr

from teleglas_common.postgres import create_pool, migrate
from teleglas_common.settings import PostgresSection
from teleglas_gateway.adapters.postgres_keys import SCHEMA, PostgresKeys, migrations
from teleglas_gateway.domain.keys import KeyRecord, digest, mint, parse_scopes, prefix_of
from teleglas_gateway.ports import Keys

__all__ = ["NewKey", "create_key", "key_store", "list_keys", "revoke_key"]

DSN_VARIABLE = "TELEGLAS_POSTGRES__DSN"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, with the only copy of its secret."""

    key: str
    record: KeyRecord


@asynccontextmanager
async def key_store(dsn: str) -> AsyncIterator[PostgresKeys]:
    """The keys of a database, whose schema is brought up to date first."""
    section = PostgresSection(dsn=SecretStr(dsn), pool_size=1)
    pool = await create_pool(section, "teleglas-keys")
    try:
        await migrate(pool, SCHEMA, migrations())
        yield PostgresKeys(pool)
    finally:
        await pool.close()


async def create_key(
    keys: Keys,
    *,
    name: str,
    scopes: str = "all",
    tenant_id: str = "default",
    principal_id: str | None = None,
    days: int | None = None,
    key: str | None = None,
) -> NewKey:
    """Make and store a key. `scopes` as in `market:read,stream:read`, or `all`.

    A `key` that was drawn elsewhere is stored as it is, once: it may be there already.
    """
    if key is not None and (known := await keys.find(_prefix(key))) is not None:
        return NewKey(key, known)
    key = key or mint(secrets.choice)
    created_at = datetime.now(UTC)
    record = KeyRecord(
        key_id=str(uuid4()),
        prefix=_prefix(key),
        digest=digest(key),
        name=name,
        tenant_id=tenant_id,
        principal_id=principal_id or name,
        scopes=parse_scopes(scopes),
        created_at=created_at,
        expires_at=None if days is None else created_at + timedelta(days=days),
        revoked_at=None,
    )
    await keys.add(record)
    return NewKey(key, record)


def _prefix(key: str) -> str:
    prefix = prefix_of(key)
    if prefix is None:
        raise ValueError("expected a key of the form tg_<8 letters>_<40 letters>, was another")
    return prefix


async def list_keys(keys: Keys, tenant_id: str = "default") -> list[KeyRecord]:
    return await keys.list(tenant_id)


async def revoke_key(keys: Keys, prefix: str, tenant_id: str = "default") -> bool:
    """Stop a key by its prefix; its open streams end within seconds. False if there is none."""
    return await keys.revoke(tenant_id, prefix)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m teleglas_gateway.keys", description=__doc__)
    parser.add_argument(
        "--dsn", default=os.environ.get(DSN_VARIABLE), help=f"database; default {DSN_VARIABLE}"
    )
    parser.add_argument("--tenant", default="default")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key and print it, this once")
    create.add_argument("--name", required=True)
    create.add_argument("--scopes", default="all", help="market:read,stream:read,… or all")
    create.add_argument("--principal", help="whom the key acts for; default: its name")
    create.add_argument("--days", type=int, help="days until it expires; default: never")
    create.add_argument("--key-file", type=Path, help="store the key of this file, if it is new")
    commands.add_parser("list", help="show keys by prefix")
    revoke = commands.add_parser("revoke", help="stop a key")
    revoke.add_argument("prefix")
    arguments = parser.parse_args()
    if not arguments.dsn:
        parser.error(f"expected --dsn or {DSN_VARIABLE}")
    return arguments


async def _run(arguments: argparse.Namespace) -> int:
    async with key_store(arguments.dsn) as keys:
        if arguments.command == "create":
            made = await create_key(
                keys,
                name=arguments.name,
                scopes=arguments.scopes,
                tenant_id=arguments.tenant,
                principal_id=arguments.principal,
                days=arguments.days,
                key=arguments.key_file and arguments.key_file.read_text().strip(),
            )
            sys.stdout.write(f"{made.record.prefix if arguments.key_file else made.key}\n")
        elif arguments.command == "list":
            for record in await list_keys(keys, arguments.tenant):
                state = "revoked" if record.revoked_at else "active"
                scopes = ",".join(sorted(record.scopes))
                sys.stdout.write(f"{record.prefix}  {state}  {record.name}  {scopes}\n")
        elif not await revoke_key(keys, arguments.prefix, arguments.tenant):
            sys.stderr.write(f"expected an active key {arguments.prefix}, there is none\n")
            return 1
    return 0


def main() -> None:
    try:
        sys.exit(asyncio.run(_run(_arguments())))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
