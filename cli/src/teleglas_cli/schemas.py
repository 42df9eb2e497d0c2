"""The services' database schemas: each is called as its service, its steps lie in its package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

from teleglas_cli.up.services import STARTED
from teleglas_common.postgres import Migration, migrate, migrations_in

__all__ = ["Applied", "migrate_all", "migrations_of"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What one run did to one schema; `newest` is the number of its last step."""

    schema: str
    steps: list[int]
    newest: int


def migrations_of(service: str) -> tuple[str, list[Migration]]:
    """Name and steps of a service's schema; nothing of the service is imported."""
    schema = service.replace("-", "_")
    spec = find_spec(f"teleglas_{schema}")
    if spec is None or spec.origin is None:
        raise LookupError(f"expected the package teleglas_{schema}, is not installed")
    return schema, migrations_in(Path(spec.origin).with_name("migrations"))


async def migrate_all(pool: asyncpg.Pool[Any]) -> list[Applied]:
    """Bring every service's schema up to date; safe twice, at once, and while services run."""
    done = []
    for service in STARTED:
        schema, steps = migrations_of(service)
        done.append(Applied(schema, await migrate(pool, schema, steps), steps[-1].number))
    return done
