"""History from a real streaming replica, as long as it is not too far behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from teleglas_cli.backup.programs import split_password
from teleglas_cli.stack.postgres import EmbeddedPostgres, postgres_programs
from teleglas_cli.stack.process import launch_command
from teleglas_common.parts import Database
from teleglas_common.settings import PostgresSection
from teleglas_common.testing import eventually

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]
REPLICATED = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on"}
FROM_REPLICA = "SELECT pg_is_in_recovery()"


def own(*paths: Path) -> None:
    """Give files to the account that the server runs as when root starts it."""
    if os.geteuid() == 0:
        for path in paths:
            shutil.chown(path, user="nobody")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def primary(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("primary"), overrides=REPLICATED)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def replica(primary: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A copy of the primary that follows it."""
    folder = tmp_path / "replica"
    folder.mkdir()
    shown, password = split_password(primary.dsn)
    shutil.copy2(primary.data_dir / "password", folder / "password")
    own(folder, folder / "password")
    command = [str(postgres_programs() / "pg_basebackup"), "-D", str(folder / "cluster"), "-R"]
    command += ["--checkpoint=fast", "-d", shown]
    done = await asyncio.to_thread(
        subprocess.run,
        launch_command(command, death_signal=signal.SIGKILL, unprivileged=True),
        env={"PATH": os.environ["PATH"], "PGPASSWORD": password},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    server = EmbeddedPostgres(folder, overrides=REPLICATED)
    await server.start()
    yield server
    await server.stop()


async def test_history_comes_from_the_replica_while_it_keeps_up(
    primary: EmbeddedPostgres, replica: EmbeddedPostgres, tmp_path: Path
) -> None:
    """One that lags or dies is not asked: the primary's newest row is what is read."""
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_things.sql").write_text("CREATE TABLE things (id int)")
    section = PostgresSection(
        dsn=SecretStr(primary.dsn), replica_dsn=SecretStr(replica.dsn), replica_max_lag_s=1.0
    )
    database = Database(section, "tests", "things", migrations)
    await database.start()
    control = await asyncpg.connect(replica.dsn)
    try:

        async def from_replica() -> None:
            assert await database.reads.fetchval(FROM_REPLICA)

        async def from_primary() -> None:
            assert not await database.reads.fetchval(FROM_REPLICA)

        await eventually(from_replica, timeout_s=30)
        await control.execute("SELECT pg_wal_replay_pause()")
        await database.pool.execute("INSERT INTO things.things VALUES (1)")
        assert await control.fetchval("SELECT count(*) FROM things.things") == 0
        await eventually(from_primary, timeout_s=30)
        rows = await database.reads.fetch("SELECT id FROM things.things")
        assert [row["id"] for row in rows] == [1]
        await control.execute("SELECT pg_wal_replay_resume()")
        await eventually(from_replica, timeout_s=30)
        assert (await database.reads.fetchrow("SELECT id FROM things.things"))["id"] == 1
        await replica.kill()
        assert await database.reads.fetchval("SELECT id FROM things.things") == 1
        await from_primary()
    finally:
        control.terminate()
        await database.stop()
