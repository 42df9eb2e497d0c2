"""Our stream server for the fan-out benchmark, driven by lines on standard input."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence

import uvloop
from fastapi import FastAPI

from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas.market.v1.types_pb2 import SIDE_BUY
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Reader, Record, TopicPartition
from teleglas_common.settings import HttpSection
from teleglas_contracts.topics import MARKET_TRADES_V1
from teleglas_gateway.rest.http import HttpServer
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.stream.outbox import OutboxLimits
from teleglas_gateway.stream.protocol import stream_protocol
from teleglas_gateway.testing import trade_batch
from teleglas_gateway.testing.edge import make_bus, open_streams

TRADES = TopicPartition(MARKET_TRADES_V1.name, MARKET_TRADES_V1.partition("BTC-USDT"))
FIRST_ID = 100_000_000
FIRST_OFFSET = 1000
"""Ids, offsets and so sequence numbers of one length: every message has the same size."""


class Feed(MemoryBus):
    """The log's live end as a list that the driver fills, so that no log is measured."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Record] = []
        self._filled = asyncio.Event()
        self._offset = FIRST_OFFSET

    def reader(  # type: ignore[override]
        self, positions: Mapping[TopicPartition, int], *, follows: bool = False
    ) -> Reader:
        if TRADES not in positions:
            return super().reader(positions, follows=follows)
        return FeedReader(self._waiting, self._filled)

    async def ends(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        ends = dict(await super().ends(topics))
        return {**ends, TRADES: 0} if TRADES in ends else ends

    def append(self, batch: TradeBatch) -> None:
        for trade in batch.trades:
            trade.side = SIDE_BUY
        self._waiting.append(
            Record(
                *TRADES,
                self._offset,
                b"binance:BTC-USDT",
                batch.SerializeToString(),
                (("schema", b"teleglas.market.v1.TradeBatch"),),
                0,
            )
        )
        self._offset += 1
        self._filled.set()


class FeedReader:
    def __init__(self, waiting: list[Record], filled: asyncio.Event) -> None:
        self._waiting = waiting
        self._filled = filled

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def seek(self, partition: TopicPartition, offset: int) -> None: ...

    async def poll(
        self,
        *,
        max_records: int,  # noqa: ARG002  # all there is, when it is there
        timeout_s: float,  # noqa: ARG002  # all there is, when it is there
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        await self._filled.wait()
        self._filled.clear()
        records, self._waiting[:] = list(self._waiting), []
        return {TRADES: records}


class Driver:
    """`burst N PER_RECORD` publishes N trades, `pace N MS` one every MS ms with its time."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._next = FIRST_ID

    def burst(self, count: int, per_record: int) -> None:
        for first in range(0, count, per_record):
            self._feed.append(trade_batch(self._next + first, min(per_record, count - first)))
        self._next += count

    async def pace(self, count: int, every_ms: float) -> None:
        due_s = time.perf_counter()
        for _ in range(count):
            due_s += every_ms / 1000
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            batch = trade_batch(self._next)
            batch.trades[0].ts_event = time.time_ns()
            self._feed.append(batch)
            self._next += 1


async def serve() -> None:
    limits = OutboxLimits(max_bytes=4 << 20, warn_bytes=4 << 20)
    settings = StreamSettings(
        max_connections_per_key=5000, outbox=limits, heartbeat_s=3600, drop_after_s=3600
    )
    feed = Feed()
    await make_bus(feed)
    async with open_streams(settings, bus=feed) as edge:
        edge.streams.hub.positions[TRADES] = FIRST_OFFSET
        feed.append(trade_batch(FIRST_ID - 1))
        http = HttpServer(HttpSection(), FastAPI(), stream_protocol(edge.streams.server))
        await http.start()
        driver = Driver(feed)
        commands = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        print(http.port, flush=True)
        while line := await commands.readline():
            name, *numbers = line.decode().split()
            if name == "burst":
                driver.burst(int(numbers[0]), int(numbers[1]))
            elif name == "pace":
                await driver.pace(int(numbers[0]), float(numbers[1]))
                print("paced", flush=True)
            elif name == "cpu":
                print(time.process_time(), flush=True)
        await http.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
