"""Our stream server for the fan-out benchmark, driven by lines on standard input."""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop
from fastapi import FastAPI

from teleglas_common.settings import HttpSection
from teleglas_contracts.topics import MARKET_TRADES_V1
from teleglas_gateway.rest.http import HttpServer
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.stream.outbox import OutboxLimits
from teleglas_gateway.stream.protocol import stream_protocol
from teleglas_gateway.testing import publish, trade_batch
from teleglas_gateway.testing.edge import StreamEdge, open_streams

FIRST_ID = 100_000_000
FIRST_OFFSET = 1000
"""Ids, offsets and so sequence numbers of one length: every message has the same size."""


class Driver:
    """`burst N` publishes N trades, `pace N MS` one every MS ms stamped with its time."""

    def __init__(self, edge: StreamEdge) -> None:
        self._edge = edge
        self._next = FIRST_ID

    async def burst(self, count: int) -> None:
        await publish(self._edge.bus, MARKET_TRADES_V1, trade_batch(self._next, count))
        self._next += count

    async def pace(self, count: int, every_ms: float) -> None:
        due_s = time.perf_counter()
        for _ in range(count):
            due_s += every_ms / 1000
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            batch = trade_batch(self._next)
            batch.trades[0].ts_event = time.time_ns()
            await publish(self._edge.bus, MARKET_TRADES_V1, batch)
            self._next += 1


async def serve() -> None:
    limits = OutboxLimits(max_bytes=4 << 20, warn_bytes=4 << 20)
    settings = StreamSettings(
        max_connections_per_key=5000, outbox=limits, heartbeat_s=3600, drop_after_s=3600
    )
    async with open_streams(settings) as edge:
        older = (trade_batch(FIRST_ID - FIRST_OFFSET + n) for n in range(FIRST_OFFSET))
        await publish(edge.bus, MARKET_TRADES_V1, *older)
        http = HttpServer(HttpSection(), FastAPI(), stream_protocol(edge.streams.server))
        await http.start()
        driver = Driver(edge)
        commands = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        print(http.port, flush=True)
        while line := await commands.readline():
            name, *numbers = line.decode().split()
            if name == "burst":
                await driver.burst(int(numbers[0]))
            elif name == "pace":
                await driver.pace(int(numbers[0]), float(numbers[1]))
                print("paced", flush=True)
            elif name == "cpu":
                print(time.process_time(), flush=True)
        await http.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
