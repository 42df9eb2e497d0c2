"""One side of `whales-speed` in a process of its own.

Arguments: `ours` or `bare`, bootstrap, a JSON object of partition → records in it. Prints a JSON
line: seconds from the first record to the acknowledged table value that covers the last, and bytes
written to the changelog. Ends with an error where that takes longer than `LIMIT_S`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import faust

from teleglas_common.clock import SystemClock
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_contracts.topics import MARKET_TRADES_V1, WHALE_ALERTS_V1
from teleglas_whale_detector.adapters.faust_topics import INTERNAL
from teleglas_whale_detector.adapters.faust_worker import FaustSettings, FaustWorker
from teleglas_whale_detector.counts import Counts
from teleglas_whale_detector.routes import INPUTS
from teleglas_whale_detector.shard import TRADES, Tools

LIMIT_S = 150.0
Ends = Mapping[int, int]
"""Partition → the offset behind its last record."""


class TimedWorker(FaustWorker):
    """Notes when its first record came."""

    began_s = 0.0

    async def _take(self, event: Any) -> None:
        if not self.began_s:
            self.began_s = time.perf_counter()
        await super()._take(event)


async def reached(is_over: Callable[[], bool], running: asyncio.Task[Any] | None = None) -> None:
    """Wait for the end of the records, not for ever."""
    deadline_s = time.perf_counter() + LIMIT_S
    while not is_over():
        if running is not None and running.done():
            raise SystemExit(f"expected a worker that runs, it ended: {running.exception()!r}")
        if time.perf_counter() > deadline_s:
            raise SystemExit(f"expected the last record within {LIMIT_S} s")
        await asyncio.sleep(0.01)


async def ours(bootstrap: str, ends: Ends) -> tuple[float, float]:
    bus = create_bus(KafkaSection(bootstrap=bootstrap), "bench")
    await bus.create([*INPUTS, WHALE_ALERTS_V1, *INTERNAL])
    metrics = Metrics.of("whale-detector")
    publisher = bus.publisher()
    await publisher.start()
    tools = Tools(SystemClock(), Counts(metrics))
    worker = TimedWorker(
        FaustSettings(f"kafka://{bootstrap}"), tools, publisher, BusMetrics(metrics, "bench")
    )
    await worker.start()
    running = asyncio.create_task(worker.run())

    def is_over() -> bool:
        offsets = {shard.number: shard.offsets.get(TRADES, 0) for shard in worker.shards}
        return all(offsets.get(number, 0) >= end for number, end in ends.items())

    await reached(is_over, running)
    await worker.flush()
    took_s = time.perf_counter() - worker.began_s
    size = metrics.registry.get_sample_value("teleglas_whale_changelog_bytes_total") or 0.0
    return took_s, size


async def bare(bootstrap: str, ends: Ends) -> tuple[float, float]:
    """An agent that does nothing but write one table value a record.

    Its end is told by offsets, not by a count: after a rebalance Faust may drop or repeat some.
    """
    app = faust.App(
        f"bare-{os.getpid()}",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        topic_partitions=MARKET_TRADES_V1.partitions,
        topic_replication_factor=1,
        stream_wait_empty=False,
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        datadir=tempfile.mkdtemp(),
    )
    topic = app.topic(TRADES, key_type=bytes, value_type=bytes, value_serializer="raw")
    table = app.Table(
        "last", partitions=MARKET_TRADES_V1.partitions, key_type=bytes, value_type=bytes
    )
    offsets: dict[int, int] = {}
    began_s = size = 0.0

    async def note(stream: Any) -> None:
        nonlocal began_s, size
        async for event in stream.events():
            if not began_s:
                began_s = time.perf_counter()
            table[event.key] = event.value
            size += len(event.value)
            offsets[event.message.partition] = event.message.offset + 1

    app.agent(topic)(note)
    app.finalize()
    await app.start()
    await reached(lambda: all(offsets.get(number, 0) >= end for number, end in ends.items()))
    await reached(lambda: not app.producer.buffer.size)
    await app.producer.flush()
    return time.perf_counter() - began_s, size


def main() -> None:
    side = {"ours": ours, "bare": bare}[sys.argv[1]]
    ends = {int(number): end for number, end in json.loads(sys.argv[3]).items()}
    measured = asyncio.wait_for(side(sys.argv[2], ends), 2 * LIMIT_S)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    os.write(1, json.dumps(loop.run_until_complete(measured)).encode() + b"\n")
    # What Faust needs to stop is not measured.
    os._exit(0)


if __name__ == "__main__":
    main()
