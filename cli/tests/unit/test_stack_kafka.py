"""The broker's configuration, command line and readiness probe."""

from __future__ import annotations

import asyncio
import struct
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from teleglas_cli.stack.kafka import (
    EmbeddedKafka,
    java_command,
    new_cluster_id,
    render_properties,
    server_properties,
)
from teleglas_cli.stack.kafka_probe import (
    BrokerState,
    encode_metadata_request,
    parse_metadata_response,
    probe,
)
from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_cli.stack.process import ProcessError


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def partition(index: int, leader: int) -> bytes:
    replicas = struct.pack(">ii", 1, 1)
    return struct.pack(">hii", 0, index, leader) + replicas + replicas


def answer(leaders: list[int], *, rack: bytes = struct.pack(">h", -1)) -> bytes:
    broker = struct.pack(">i", 1) + text(LOOPBACK) + struct.pack(">i", 9092) + rack
    partitions = b"".join(partition(index, leader) for index, leader in enumerate(leaders))
    topic = struct.pack(">h", 0) + text("trades") + b"\0" + struct.pack(">i", len(leaders))
    counts = struct.pack(">ii", 1, 1)
    return counts + broker + struct.pack(">ii", 1, 1) + topic + partitions


def test_cluster_id_is_16_bytes_in_url_safe_base64() -> None:
    """Kafka's formatter takes nothing else."""
    cluster_ids = {new_cluster_id() for _ in range(1000)}
    assert len(cluster_ids) == 1000
    assert {len(urlsafe_b64decode(cluster_id + "==")) for cluster_id in cluster_ids} == {16}


def test_cluster_id_is_never_taken_for_an_option() -> None:
    """One random id in 64 would begin with a dash, and the formatter would refuse it."""
    assert not [one for one in (new_cluster_id() for _ in range(2000)) if one.startswith("-")]


def test_properties_bind_only_the_loopback_and_stamp_append_time() -> None:
    """The broker is not reachable from outside, and retention goes by when records arrived."""
    properties = server_properties(Path("/data"), 9092, 9093)
    listeners = properties["listeners"].split(",")
    assert listeners == ["PLAINTEXT://127.0.0.1:9092", "CONTROLLER://127.0.0.1:9093"]
    assert properties["log.message.timestamp.type"] == "LogAppendTime"
    assert properties["auto.create.topics.enable"] == "false"
    assert properties["log.dirs"] == "/data/log"


def test_overrides_win() -> None:
    """A caller can change any setting."""
    properties = server_properties(Path("/data"), 1, 2, {"log.segment.bytes": "1048576"})
    assert "log.segment.bytes=1048576\n" in render_properties(properties)


def test_java_sees_only_the_given_jars() -> None:
    """The class path is the list of verified files, not a folder."""
    command = java_command(
        [Path("/c/a.jar"), Path("/c/b.jar")], "kafka.Kafka", "conf", heap_mb=256, log_level="warn"
    )
    assert command[command.index("-cp") + 1] == "/c/a.jar:/c/b.jar"
    assert command[-2:] == ["kafka.Kafka", "conf"]
    assert {"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"} <= set(command)


def test_port_before_start_is_refused(tmp_path: Path) -> None:
    """An address that does not exist yet is an error, not a guess."""
    with pytest.raises(ProcessError, match="never started"):
        _ = EmbeddedKafka(tmp_path).bootstrap


def test_metadata_request_carries_its_length() -> None:
    """The four leading bytes count what follows."""
    request = encode_metadata_request()
    assert struct.unpack(">i", request[:4])[0] == len(request) - 4
    assert struct.unpack(">hh", request[4:8]) == (3, 1)


def test_broker_with_leaders_is_ready() -> None:
    """One broker, all partitions led."""
    state = parse_metadata_response(answer([1, 1, 1]))
    assert state == BrokerState(brokers=1, topics=1, partitions=3, leaderless=0)
    assert state.ready


def test_broker_with_a_leaderless_partition_is_not_ready() -> None:
    """After a crash the broker answers before it leads its partitions again."""
    assert not parse_metadata_response(answer([1, -1], rack=text("rack"))).ready


def test_cut_metadata_is_a_value_error() -> None:
    """A truncated answer is not taken for a state."""
    whole = answer([1])
    for length in range(4, len(whole) - 1):
        with pytest.raises((ValueError, struct.error)):
            parse_metadata_response(whole[:length])


async def test_probe_of_a_silent_or_closed_port_says_none() -> None:
    """Neither a refused nor a mute nor a garbling server counts as a broker."""
    (closed,) = free_ports(1)
    assert await probe(LOOPBACK, closed) is None

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def garble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    for handler in (mute, garble):
        server = await asyncio.start_server(handler, LOOPBACK, 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            assert await probe(LOOPBACK, port, timeout_s=0.2) is None


async def test_probe_reads_a_real_answer() -> None:
    """The request goes out and the answer comes back as a state."""

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        await reader.readexactly(size)
        body = answer([1, 1])
        writer.write(struct.pack(">i", len(body)) + body)
        writer.close()

    server = await asyncio.start_server(broker, LOOPBACK, 0)
    async with server:
        state = await probe(LOOPBACK, server.sockets[0].getsockname()[1])
    assert state is not None
    assert state.partitions == 2
