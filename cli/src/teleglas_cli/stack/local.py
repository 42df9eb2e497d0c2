"""The three servers together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from teleglas_cli.stack.jars import ProgressCallback
from teleglas_cli.stack.kafka import EmbeddedKafka
from teleglas_cli.stack.postgres import EmbeddedPostgres
from teleglas_cli.stack.process import ManagedProcess
from teleglas_cli.stack.valkey import EmbeddedValkey

__all__ = ["EmbeddedServer", "LocalStack", "StackAddresses"]


class EmbeddedServer(Protocol):
    """What the three servers have in common."""

    name: str
    process: ManagedProcess | None

    @property
    def port(self) -> int: ...
    async def start(self) -> None: ...
    async def stop(self, grace_s: float = ...) -> None: ...
    async def kill(self) -> None: ...
    async def restart(self, grace_s: float = ...) -> None: ...
    def rss_mb(self) -> float: ...


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """Where a running stack answers."""

    kafka_bootstrap: str
    postgres_dsn: str
    redis_url: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class LocalStack:
    """Apache Kafka, PostgreSQL and Valkey below one directory, started and stopped together.

    A directory that held a stack before is continued with its data.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        kafka_heap_mb: int = 256,
        kafka_overrides: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> None:
        logs = state_dir / "logs"
        self.kafka = EmbeddedKafka(
            state_dir / "kafka",
            log_path=logs / "kafka.log",
            heap_mb=kafka_heap_mb,
            overrides=kafka_overrides,
            progress=progress,
        )
        self.postgres = EmbeddedPostgres(state_dir / "postgres", log_path=logs / "postgres.log")
        self.valkey = EmbeddedValkey(state_dir / "valkey", log_path=logs / "valkey.log")

    @property
    def servers(self) -> tuple[EmbeddedServer, ...]:
        return (self.kafka, self.postgres, self.valkey)

    @property
    def kafka_bootstrap(self) -> str:
        return self.kafka.bootstrap

    @property
    def postgres_dsn(self) -> str:
        return self.postgres.dsn

    @property
    def redis_url(self) -> str:
        return self.valkey.url

    @property
    def addresses(self) -> StackAddresses:
        return StackAddresses(self.kafka_bootstrap, self.postgres_dsn, self.redis_url)

    async def start(self) -> None:
        """Start all concurrently; if one fails, stop the others and raise its error."""
        results = await asyncio.gather(
            *(server.start() for server in self.servers), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            await self.stop()
            raise failures[0]

    async def stop(self, grace_s: float = 15.0) -> None:
        """Stop all concurrently; returns when no process is left."""
        await asyncio.gather(*(server.stop(grace_s) for server in self.servers))

    def rss_mb(self) -> dict[str, float]:
        """Memory by server, in MB."""
        return {server.name: round(server.rss_mb(), 1) for server in self.servers}

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
