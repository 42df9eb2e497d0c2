"""`teleglas keys`: API keys of the running stack, or of the database that the environment names."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from teleglas_cli.running import Running

__all__ = ["keys"]

DSN_VARIABLE = "TELEGLAS_POSTGRES__DSN"


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def keys(arguments: tuple[str, ...]) -> None:
    """Create, list and revoke API keys: `teleglas keys create --name mine`."""
    env = dict(os.environ)
    if DSN_VARIABLE not in env:
        env[DSN_VARIABLE] = Running.read().postgres_dsn
    command = [sys.executable, "-m", "teleglas_gateway.keys", *arguments]
    raise SystemExit(subprocess.run(command, env=env, check=False).returncode)
