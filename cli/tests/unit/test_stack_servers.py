"""What PostgreSQL and Valkey are started with."""

from __future__ import annotations

from pathlib import Path

from teleglas_cli.stack.postgres import postgres_command, postgres_programs
from teleglas_cli.stack.valkey import valkey_config


def test_postgres_listens_on_the_loopback_alone() -> None:
    """No socket file, whose path could be too long, and no outside address."""
    command = postgres_command(Path("/bin"), Path("/data"), 5433)
    assert command[:5] == ["/bin/postgres", "-D", "/data", "-p", "5433"]
    assert "listen_addresses=127.0.0.1" in command
    assert "unix_socket_directories=" in command


def test_postgres_programs_are_there() -> None:
    """The bundled version has what we run."""
    assert {"initdb", "postgres"} <= {path.name for path in postgres_programs().iterdir()}


def test_valkey_writes_before_it_answers_and_asks_for_a_password() -> None:
    """Data survive a kill, and not everyone on the machine may read them."""
    lines = valkey_config(Path("/data"), 6380, "secret", 64).splitlines()
    assert {"bind 127.0.0.1", "port 6380", "appendonly yes", "maxmemory 64mb"} <= set(lines)
    assert 'requirepass "secret"' in lines
