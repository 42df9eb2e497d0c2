"""What a database holds, as row counts and hashes that do not depend on the order of rows."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["SCHEMAS", "Fingerprint", "TableMark", "fingerprint"]

SCHEMAS = (
    "ingest",
    "market_data",
    "whale_detector",
    "signal_scorer",
    "prediction",
    "notification",
    "gateway",
)
"""One a service."""

_SESSION = (
    "SET timezone TO 'UTC'; SET datestyle TO 'ISO'; SET bytea_output TO 'hex';"
    " SET extra_float_digits TO 1; SET statement_timeout TO 0"
)
_TABLES = """
SELECT n.nspname AS schema, c.relname AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY 1, 2
"""
_MARK = """
SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS hash
  FROM "{schema}"."{name}" t
"""


class TableMark(BaseModel):
    """Rows of one table, its partitions included, and the sum of their hashes."""

    model_config = ConfigDict(frozen=True)

    rows: int
    hash: str


Fingerprint = dict[str, TableMark]
"""By `schema.table`."""


async def fingerprint(connection: Any) -> Fingerprint:
    """The marks of every table of ours, as this connection's transaction sees them."""
    await connection.execute(_SESSION)
    marks: Fingerprint = {}
    for table in await connection.fetch(_TABLES, list(SCHEMAS)):
        row = await connection.fetchrow(_MARK.format(**table), timeout=None)
        name = f"{table['schema']}.{table['name']}"
        marks[name] = TableMark(rows=row["rows"], hash=row["hash"])
    return marks
