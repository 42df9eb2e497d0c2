"""A client in memory that may lose its link after any message and resume on another."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from teleglas_common.testing import eventually
from teleglas_gateway.domain.positions import Position, encode_token, parse_subject
from teleglas_gateway.stream.server import Pulse
from teleglas_gateway.testing.edge import StreamEdge
from teleglas_gateway.testing.fakes import KEY

__all__ = ["SUBJECT", "Follower", "Pipe"]

SUBJECT = "trades:binance:BTC-USDT"


@dataclass
class Pipe:
    """A link in memory that can break after any message."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False

    def writer(self) -> Callable[[bytes], object]:
        return self.write

    def write(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            size, at = data[at + 1], at + 2
            if size == 126:
                size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
            elif size == 127:
                size, at = int.from_bytes(data[at : at + 8], "big"), at + 8
            if data[at : at + 1] == b"{":
                self.messages.append(json.loads(data[at : at + size]))
            at += size

    def finish(self, last: bytes) -> None:
        self.write(last)
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def of(self, *types: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] in types]


class Follower:
    """Keeps what it has heard over all its connections."""

    def __init__(self, edge: StreamEdge, subject: str = SUBJECT) -> None:
        self.edge = edge
        self.subject = subject
        self.heard: list[dict[str, Any]] = []
        self.pipe = Pipe()
        self.session: Any = None

    async def connect(self, *, by_token: bool = False) -> dict[str, Any]:
        self.pipe = Pipe()
        pulse = Pulse(self.edge.streams.server.settings, time.monotonic(), lambda: None)
        self.session = self.edge.streams.server.open(
            "/v1/stream", self.pipe, pulse, f"Bearer {KEY}"
        )
        channel, venue, symbol = self.subject.split(":")
        params: dict[str, Any] = {"channel": channel, "venue": venue, "symbol": symbol}
        if self.heard:
            last = self.heard[-1]
            params["resume"] = {self.subject: [last["epoch"], last["seq"]]}
            if by_token:
                position = Position(last["epoch"], last["seq"])
                params["resume"] = encode_token({parse_subject(self.subject): position})
        self.session.receive(json.dumps({"method": "subscribe", "params": params}).encode())
        await eventually(lambda: bool(self.pipe.of("subscribed")), every_s=0)
        return self.pipe.of("subscribed")[0]

    def disconnect(self, keep: int | None = None) -> None:
        """Break off; the client got only `keep` of the trades that were on their way."""
        self.edge.streams.server.closed(self.session)
        self.heard += self.pipe.of("trade")[:keep]

    async def catch_up_to(self, trade_id: int) -> None:
        def complete() -> bool:
            got = self.heard + self.pipe.of("trade")
            return bool(got) and got[-1]["data"]["id"] == str(trade_id)

        await eventually(complete, every_s=0)
