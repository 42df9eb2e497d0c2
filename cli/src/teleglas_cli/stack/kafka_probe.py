"""Asks a broker for its metadata in Kafka's own protocol, without a client library's retries."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

__all__ = ["BrokerState", "encode_metadata_request", "parse_metadata_response", "probe"]

_METADATA, _VERSION, _CLIENT = 3, 1, b"teleglas-probe"
_TIMEOUT_S = 2.0
_MAX_RESPONSE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BrokerState:
    """What one metadata answer says."""

    brokers: int
    topics: int
    partitions: int
    leaderless: int

    @property
    def ready(self) -> bool:
        """A broker is registered and every partition has a leader."""
        return self.brokers > 0 and self.leaderless == 0


def encode_metadata_request(correlation_id: int = 1) -> bytes:
    """Metadata v1 for all topics, with its length in front."""
    body = struct.pack(">hhih", _METADATA, _VERSION, correlation_id, len(_CLIENT)) + _CLIENT
    body += struct.pack(">i", -1)
    return struct.pack(">i", len(body)) + body


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def int16(self) -> int:
        return self._take(">h", 2)

    def int32(self) -> int:
        return self._take(">i", 4)

    def skip(self, count: int) -> None:
        self._at += max(0, count)
        if self._at > len(self._data):
            raise ValueError(f"expected {self._at} bytes of metadata, were {len(self._data)}")

    def _take(self, form: str, size: int) -> int:
        begin = self._at
        self.skip(size)
        return int(struct.unpack_from(form, self._data, begin)[0])


def parse_metadata_response(data: bytes) -> BrokerState:
    """Read a Metadata v1 answer (without its length); `ValueError` when it is cut short."""
    reader = _Reader(data)
    reader.int32()
    brokers = reader.int32()
    for _ in range(brokers):
        reader.skip(4)
        reader.skip(reader.int16())
        reader.skip(4)
        reader.skip(reader.int16())
    reader.int32()
    topics, partitions, leaderless = reader.int32(), 0, 0
    for _ in range(topics):
        reader.int16()
        reader.skip(reader.int16())
        reader.skip(1)
        for _ in range(reader.int32()):
            partitions += 1
            reader.skip(2 + 4)
            leaderless += reader.int32() < 0
            reader.skip(4 * reader.int32())
            reader.skip(4 * reader.int32())
    return BrokerState(brokers, topics, partitions, leaderless)


async def probe(host: str, port: int, timeout_s: float = _TIMEOUT_S) -> BrokerState | None:
    """The broker's state, or None when nothing answers in Kafka's protocol in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(host, port)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError, struct.error):
        return None


async def _ask(host: str, port: int) -> BrokerState:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(encode_metadata_request())
        await writer.drain()
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        if not 0 < size <= _MAX_RESPONSE_BYTES:
            raise ValueError(f"expected an answer of up to {_MAX_RESPONSE_BYTES} bytes, was {size}")
        return parse_metadata_response(await reader.readexactly(size))
    finally:
        writer.close()
