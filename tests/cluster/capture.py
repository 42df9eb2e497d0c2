"""Packets on the node: who began a TCP connection with TLS, and what could be read."""

from __future__ import annotations

import asyncio
import struct
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Capture", "Seen", "seen_in"]

READABLE = (b"PRI * HTTP/2.0", b"teleglas.", b"GET /", b"POST /", b"HTTP/1.1")
SYN = 0x02
TLS_RECORDS = (0x14, 0x15, 0x16, 0x17)
FIRST_S = 2.0
Flow = tuple[bytes, int, bytes, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """Directions of connections whose first packet was seen and that carried anything; how many of
    them are whole TLS records from the first byte on; how many packets could be read.
    """

    packets: int
    begun: int
    tls: int
    readable: int


class Capture:
    """Runs a capture for as long as it is entered. `command` is tcpdump, however it is reached."""

    def __init__(self, command: Sequence[str], expression: str) -> None:
        self._command = command
        self._expression = expression
        self._process: asyncio.subprocess.Process | None = None
        self._file = Path(tempfile.mkdtemp(prefix="teleglas-capture-")) / "packets.pcap"

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            *("-i", "any", "-U", "-s", "0", "-w", "-", self._expression),
            stdout=self._file.open("wb"),
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(FIRST_S)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.sleep(FIRST_S)
        if self._process is not None:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), 10)

    def seen(self) -> Seen:
        return seen_in(self._file.read_bytes())


def seen_in(pcap: bytes) -> Seen:
    """Judge a capture of `any` interface, of which a packet may be seen on several."""
    packets = readable = 0
    starts: dict[Flow, int] = {}
    parts: dict[Flow, dict[int, bytes]] = defaultdict(dict)
    for flow, sequence, flags, payload in tcp(pcap):
        packets += 1
        if flags & SYN:
            starts[flow] = (sequence + 1) & 0xFFFF_FFFF
        if payload:
            readable += any(word in payload for word in READABLE)
            parts[flow].setdefault(sequence, payload)
    streams = {flow: joined(at, parts[flow]) for flow, at in starts.items() if parts.get(flow)}
    return Seen(packets, len(streams), sum(map(is_tls, streams.values())), readable)


def joined(sequence: int, parts: dict[int, bytes]) -> bytes:
    """Bytes in order, as far as they were seen."""
    found = bytearray()
    while (part := parts.get(sequence)) is not None:
        found += part
        sequence = (sequence + len(part)) & 0xFFFF_FFFF
    return bytes(found)


def is_tls(stream: bytes) -> bool:
    """Whether all of it is TLS records; the last one may be cut off."""
    at = 0
    while at + 5 <= len(stream):
        if stream[at] not in TLS_RECORDS or stream[at + 1] != 3:
            return False
        at += 5 + int.from_bytes(stream[at + 3 : at + 5])
    return bool(stream)


def tcp(pcap: bytes) -> Iterator[tuple[Flow, int, int, bytes]]:
    """Flow, sequence number, flags and payload of every TCP segment over IPv4."""
    order = "<" if pcap[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    (link,) = struct.unpack_from(f"{order}I", pcap, 20)
    skip = {1: 14, 113: 16, 276: 20}[link]
    at = 24
    while at + 16 <= len(pcap):
        (length,) = struct.unpack_from(f"{order}I", pcap, at + 8)
        packet = pcap[at + 16 + skip : at + 16 + length]
        at += 16 + length
        if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != 6:
            continue
        begin = 4 * (packet[0] & 15)
        source, target, sequence, _, offset, flags = struct.unpack_from("!HHIIBB", packet, begin)
        data = packet[begin + 4 * (offset >> 4) : int.from_bytes(packet[2:4])]
        yield (packet[12:16], source, packet[16:20], target), sequence, flags, data
