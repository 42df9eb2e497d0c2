"""The whole product on this machine: started in order, supervised, stopped in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from teleglas_cli.running import Running
from teleglas_cli.stack.jars import JarProgress
from teleglas_cli.stack.local import LocalStack
from teleglas_cli.stack.process import ManagedProcess, ProcessError, ProcessReport, Supervisor
from teleglas_cli.up.chat import Chat, chat_of
from teleglas_cli.up.ingest_plan import LIVE_MARKET, ingest_environment
from teleglas_cli.up.options import Options, Source
from teleglas_cli.up.services import (
    TABLE,
    Layout,
    chosen,
    environment,
    lag,
    plan,
    service_of,
    service_process,
)
from teleglas_cli.up.venues import VenueUrls, source_process, venue_urls
from teleglas_common.bus.ports import Bus
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection
from teleglas_contracts import topics

__all__ = ["Product"]

Say = Callable[[str], None]

STOP_GRACE_S = 20.0
KEY_TIMEOUT_S = 120.0
SIMULATED = {
    "TELEGLAS_DETECTOR__MIN_OBSERVATIONS": "300",
    "TELEGLAS_DETECTOR__QUANTILE": "0.99",
}
"""Alerts of large orders of a simulated market, before it has run for hours."""


class Product:
    """One running product. `processes` are its own parts by name, `stack` what they stand on."""

    def __init__(self, options: Options, say: Say) -> None:
        self.options = options
        self.services = chosen(options.only_spine, options.without)
        self.layout: Layout = plan(options.gateway_port, self.services)
        self.stack = LocalStack(options.state_dir, progress=_download(say))
        self.processes: dict[str, ManagedProcess] = {}
        self.errors: list[str] = []
        self.venues: VenueUrls = {}
        self.sample_market = LIVE_MARKET
        self._say = say
        self._logs = options.state_dir / "logs"
        self._supervisors: dict[str, asyncio.Task[None]] = {}
        self._chat: Chat | None = None
        if "notification" in self.services:
            self._chat = chat_of(self.layout, self._logs)

    @property
    def bus(self) -> Bus:
        """The product's Kafka."""
        return create_bus(KafkaSection(bootstrap=self.stack.kafka_bootstrap), "teleglas-up")

    @property
    def running(self) -> Running:
        """Its addresses, for other commands."""
        return Running(
            pid=os.getpid(),
            kafka_bootstrap=self.stack.kafka_bootstrap,
            postgres_dsn=self.stack.postgres_dsn,
            redis_url=self.stack.redis_url,
            gateway_url=self.layout.gateway_url,
            market_data_grpc=self.layout.market_data_target,
            demo_key_file=str(self._key_file),
            services=dict(self.layout.http),
            grpc=dict(self.layout.grpc),
            chat_url="" if self._chat is None else self._chat.url,
            venues={name: urls["rest"] for name, urls in self.venues.items()},
        )

    @property
    def _key_file(self) -> Path:
        return self.options.state_dir / "demo.key"

    def everything(self) -> Iterator[ManagedProcess]:
        """Every child process, the servers included."""
        for server in self.stack.servers:
            if server.process is not None:
                yield server.process
        yield from self.processes.values()

    async def start(self) -> None:
        """Bring everything up; on failure nothing is left behind."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        folder = self.options.state_dir
        if self.options.source is not Source.LIVE:
            # A simulated or replayed market begins anew: ids of its trades repeat those of the
            # run before, and would count as known.
            shutil.rmtree(folder, ignore_errors=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._say("starting Apache Kafka, PostgreSQL and Valkey ...")
        source = source_process(self.options, environment_of_source(), self._logs)
        await asyncio.gather(self.stack.start(), self._start_source(source), self._start_chat())
        await self.bus.create(topics.ALL)
        self._say(f"{len(topics.ALL)} topics are there; starting {', '.join(self.services)} ...")
        feeds, self.sample_market = await ingest_environment(self.options, self.venues)
        env = environment(
            self.stack.addresses,
            self.options.otlp_endpoint,
            {
                "TELEGLAS_PRINCIPAL_SECRET": secrets.token_hex(32),
                **feeds,
                **self._market_settings(),
                **dict(self.options.extra_env),
            },
        )
        for name in self.services:
            own = service_of(name).own_environment(folder)
            own |= {key: value for who, key, value in self.options.own_env if who == name}
            if self._chat is not None and name == "notification":
                own |= self._chat.settings
            self.processes[name] = service_process(name, env, self.layout, self._logs, own)
        await asyncio.gather(
            *(self.processes[name].start() for name in self.services),
            self._demo_key(env | self.layout.targets("gateway")),
        )
        for process in self.everything():
            supervisor = Supervisor(process, self._reported)
            self._supervisors[process.name] = asyncio.create_task(supervisor.run())
        self.running.write(folder.parent)

    def _market_settings(self) -> dict[str, str]:
        """A simulated market is there to be looked at within minutes, unless one says otherwise."""
        if self.options.source is not Source.SIMULATOR:
            return {}
        return {name: value for name, value in SIMULATED.items() if name not in os.environ}

    async def _start_source(self, source: ManagedProcess | None) -> None:
        if source is not None:
            self.processes["venues"] = source
            await source.start()
            self.venues = await venue_urls(self._logs)

    async def _start_chat(self) -> None:
        if self._chat is not None and self._chat.process is not None:
            self.processes["botapi"] = self._chat.process
            await self._chat.process.start()

    async def _demo_key(self, env: dict[str, str]) -> None:
        if self._key_file.exists():
            return
        argv = ["-m", "teleglas_gateway.keys", "create", "--name", "demo"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, env=env, stdout=asyncio.subprocess.PIPE
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), KEY_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            raise ProcessError("expected a demo key in time, the gateway made none") from None
        if process.returncode != 0:
            raise ProcessError(f"expected a demo key, making it ended with {process.returncode}")
        self._key_file.touch(mode=0o600)
        self._key_file.write_bytes(out)

    def _reported(self, report: ProcessReport) -> None:
        text = f"{report.name} {report.event.replace('_', ' ')}: {report.detail}"
        self._say(text)
        if report.event != "restarted":
            self.errors.append(text)

    async def lag(self) -> int | None:
        """Records that services have still to handle; None when market-data does not say.

        Of the others those count that say anything: not all of them count records.
        """
        behind = {name: await lag(self.layout.http[name]) for name in self._readers}
        if behind["market-data"] is None:
            return None
        return sum(count for count in behind.values() if count is not None)

    @property
    def _readers(self) -> list[str]:
        return [name for name in self.services if name not in ("ingest", "gateway")]

    async def stop(self) -> None:
        """Drain: first what brings data in, then what works on it, then what it stands on."""
        await self.leave(*self._supervisors)
        (self.options.state_dir.parent / "running.json").unlink(missing_ok=True)
        first, *others = (row.name for row in TABLE)
        for name in (first, "venues", *others, "botapi"):
            await self.stop_part(name)
        with contextlib.suppress(ProcessError):
            await self.stack.stop()

    async def stop_part(self, name: str) -> None:
        """End one of `processes` for good: nothing restarts it."""
        await self.leave(name)
        process = self.processes.get(name)
        if process is not None:
            await process.stop(STOP_GRACE_S)

    async def leave(self, *names: str) -> None:
        """Nothing restarts these any more."""
        left = [self._supervisors.pop(name) for name in names if name in self._supervisors]
        for supervisor in left:
            supervisor.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def environment_of_source() -> dict[str, str]:
    """The simulator and the replay need nothing of ours."""
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def _download(say: Say) -> Callable[[JarProgress], None]:
    def tell(step: JarProgress) -> None:
        if step.done_jars in (0, step.total_jars):
            say(
                f"Apache Kafka: {step.done_jars} of {step.total_jars} jars, "
                f"{step.done_bytes / 1e6:.0f} of {step.total_bytes / 1e6:.0f} MB"
            )

    return tell
