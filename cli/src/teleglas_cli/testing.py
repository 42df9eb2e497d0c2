"""Fixtures for tests against the real broker, database and cache.

`stack` starts `python -m teleglas_cli.stack` once per pytest session. When TELEGLAS_TEST_STACK
names the `stack.json` of a running one, that is used instead and left running, so that several
sessions can share it. Tests keep apart by names of their own: `unique_name`, `database_dsn`.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest

from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.stack.process import launch_command, log_tail

__all__ = [
    "STACK_VARIABLE",
    "TestStackError",
    "database_dsn",
    "forget_members",
    "fresh_database",
    "read_stack_file",
    "running_stack",
    "stack",
    "unique_name",
]

STACK_VARIABLE = "TELEGLAS_TEST_STACK"
_READY_TIMEOUT_S = 300.0
_STOP_TIMEOUT_S = 30.0


class TestStackError(RuntimeError):
    """The stack for the tests does not run."""

    __test__ = False


def read_stack_file(path: Path) -> StackAddresses:
    """Addresses of a running stack from its `stack.json`; `TestStackError` when it does not run."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TestStackError(f"expected a running stack's addresses at {path}, no file") from None
    pid = int(fields.pop("pid"))
    if not psutil.pid_exists(pid):
        raise TestStackError(f"expected the stack of {path} to run, process {pid} is gone")
    return StackAddresses(**fields)


@contextmanager
def running_stack(state_dir: Path) -> Iterator[StackAddresses]:
    """Start the stack command on a directory, yield its addresses, stop it."""
    command = [sys.executable, "-m", "teleglas_cli.stack", "--state", str(state_dir)]
    state_dir.mkdir(parents=True, exist_ok=True)
    log_path = state_dir / "stack.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            launch_command(command, death_signal=signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    too_late = threading.Timer(_READY_TIMEOUT_S, process.terminate)
    too_late.start()
    try:
        if process.stdout is None or not process.stdout.readline():
            raise TestStackError(f"expected a stack, {log_path} ends:\n{log_tail(log_path)}")
        too_late.cancel()
        yield read_stack_file(state_dir / "stack.json")
    finally:
        too_late.cancel()
        process.terminate()
        process.communicate(timeout=_STOP_TIMEOUT_S)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackAddresses]:
    """Addresses of Apache Kafka, PostgreSQL and Valkey, running for the whole session."""
    shared = os.environ.get(STACK_VARIABLE)
    if shared:
        yield read_stack_file(Path(shared))
        return
    with running_stack(tmp_path_factory.mktemp("stack")) as addresses:
        yield addresses


async def forget_members(kafka_bootstrap: str, *groups: str) -> None:
    """Take a killed process out of its consumer groups, as the end of its session would: whoever
    comes after it need not wait for that.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        for group in groups:
            node = await admin.find_coordinator(group)
            described: Any = await admin.describe_consumer_groups([group], node)
            for _, _, _, _, _, members, *_ in described[0].groups:
                for member in members:
                    # the client has no method for it
                    await admin._send_request(LeaveGroupRequest(group, member[0]), node)  # noqa: SLF001
    finally:
        await admin.close()


@pytest.fixture
def unique_name() -> Callable[[str], str]:
    """Makes names that no other test uses: for topics, groups, key prefixes."""
    return lambda prefix: f"{prefix}-{secrets.token_hex(4)}"


@asynccontextmanager
async def fresh_database(postgres_dsn: str) -> AsyncIterator[str]:
    """Create an empty database on the server, yield its DSN, drop it."""
    name = f"test_{secrets.token_hex(6)}"
    await _execute(postgres_dsn, f'CREATE DATABASE "{name}"')
    try:
        yield urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}"))
    finally:
        await _execute(postgres_dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def database_dsn(stack: StackAddresses) -> AsyncIterator[str]:
    """An empty database of the test's own."""
    async with fresh_database(stack.postgres_dsn) as dsn:
        yield dsn
