"""Debian's PostgreSQL and Redis over TLS: those that come as packages were built without it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from redis.exceptions import RedisError

from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_cli.stack.process import ManagedProcess, launch_command
from teleglas_common.postgres import create_pool, dsn_of
from teleglas_common.redis import create_redis
from teleglas_common.settings import PostgresSection, RedisSection
from tests.support.cache import AUTH, PASSWORD, started, use_everything
from tests.support.secure import Certificates

pytestmark = [
    pytest.mark.platform,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("programs"),
]

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
REDIS = Path("/usr/bin/redis-server")


class Postgres:
    """A server of its own with TLS, as an ordinary account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = Certificates(folder)
        self.certificates.issue(LOOPBACK)
        (self.port,) = free_ports(1)
        self.dsn = f"postgresql://teleglas:{PASSWORD}@{LOOPBACK}:{self.port}/postgres"
        password = folder / "password"
        password.write_text(PASSWORD)
        for path in (folder, *folder.parents):
            if path.is_relative_to("/tmp") and path != Path("/tmp"):  # noqa: S108
                path.chmod(path.stat().st_mode | 0o755)
        self.owned()
        options = ["-U", "teleglas", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        command = [str(PROGRAMS / "initdb"), "-D", str(folder / "cluster"), *options]
        subprocess.run(
            launch_command(command, death_signal=signal.SIGKILL, unprivileged=True),
            check=True,
            capture_output=True,
            cwd="/",
            timeout=60,
        )
        settings = {
            "ssl": "on",
            "ssl_cert_file": str(folder / "server.pem"),
            "ssl_key_file": str(folder / "server.key"),
            "unix_socket_directories": "",
            "fsync": "off",
            "listen_addresses": LOOPBACK,
        }
        command = [str(PROGRAMS / "postgres"), "-D", str(folder / "cluster"), "-p", str(self.port)]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = ManagedProcess(
            "postgres-tls",
            command,
            dict(os.environ),
            folder / "log" / "postgres.log",
            self._is_ready,
            cwd=Path("/"),
            stop_signal=signal.SIGINT,
            unprivileged=True,
        )

    def owned(self) -> None:
        """Give the files to the account that the server runs as when root starts it."""
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                if path.name not in ("cluster", "log"):
                    shutil.chown(path, user="nobody")

    async def reload(self) -> None:
        connection = await asyncpg.connect(self.dsn, ssl="require")
        await connection.execute("SELECT pg_reload_conf(), pg_sleep(0.5)")
        await connection.close()

    async def _is_ready(self) -> bool:
        try:
            connection = await asyncpg.connect(self.dsn, timeout=5)
        except (OSError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True


@pytest.fixture
def programs() -> None:
    """What root must have installed."""
    missing = [str(path) for path in (PROGRAMS / "postgres", REDIS) if not path.exists()]
    if missing:
        pytest.skip(f"expected {missing}, of apt-get install postgresql-15 redis-server")


@pytest.fixture
async def postgres(tmp_path: Path, programs: None) -> AsyncIterator[Postgres]:
    del programs
    server = await asyncio.to_thread(Postgres, tmp_path / "server")
    await server.process.start()
    yield server
    await server.process.stop()


def verified(server: Postgres, **more: Any) -> PostgresSection:
    return PostgresSection(
        dsn=SecretStr(server.dsn),
        ssl_mode="verify-full",
        ssl_ca_file=more.get("ca_file", server.certificates.ca_file),
    )


async def test_the_database_is_verified_by_name(postgres: Postgres, tmp_path: Path) -> None:
    """Another authority, or a certificate of another name, is refused."""
    pool = await create_pool(verified(postgres), "tests")
    encrypted = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert await pool.fetchval(encrypted) == "TLSv1.3"
    await pool.close()
    stranger = verified(postgres, ca_file=Certificates(tmp_path / "other").ca_file)
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        await asyncpg.connect(dsn_of(stranger), timeout=10)
    postgres.certificates.issue("elsewhere.invalid")
    postgres.owned()
    await postgres.reload()
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        await asyncpg.connect(dsn_of(verified(postgres)), timeout=10)


async def test_certificate_and_authority_are_replaced_under_a_pool(
    postgres: Postgres, tmp_path: Path
) -> None:
    """New connections of a pool that was made before read the files that there are now; old ones
    go on.
    """
    pool = await create_pool(verified(postgres), "tests")
    async with pool.acquire() as old:
        successor = Certificates(tmp_path / "successor")
        pair = successor.issue(LOOPBACK)
        for source, target in (
            (pair.cert_file, "server.pem"),
            (pair.key_file, "server.key"),
        ):
            (postgres.folder / target).write_bytes(source.read_bytes())
        await old.execute("SELECT pg_reload_conf(), pg_sleep(0.5)")
        with pytest.raises(ssl.SSLCertVerificationError):
            async with pool.acquire():
                pass
        postgres.certificates.ca_file.write_bytes(successor.ca_file.read_bytes())
        async with pool.acquire() as new:
            assert await new.fetchval("SELECT 1") == 1
        assert await old.fetchval("SELECT 1") == 1
    await pool.close()


async def test_the_cache_is_verified(tmp_path: Path) -> None:
    """Everything works over TLS; another authority's server is refused."""
    certificates = Certificates(tmp_path / "certificates")
    pair = certificates.issue(LOOPBACK)
    plain, secure = free_ports(2)
    lines = (
        f"tls-port {secure}",
        f"tls-cert-file {pair.cert_file}",
        f"tls-key-file {pair.key_file}",
        f"tls-ca-cert-file {certificates.ca_file}",
        "tls-auth-clients no",
        *AUTH,
    )
    async with AsyncExitStack() as servers:
        await started(servers, tmp_path / "redis", plain, *lines, program=str(REDIS))
        section = RedisSection(
            url=SecretStr(f"rediss://:{PASSWORD}@{LOOPBACK}:{secure}/0"),
            ssl_ca_file=certificates.ca_file,
        )
        client = create_redis(section)
        await use_everything(client)
        await client.aclose()
        other = Certificates(tmp_path / "other").ca_file
        stranger = create_redis(section.model_copy(update={"ssl_ca_file": other}))
        with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.ping()
        await stranger.aclose()
