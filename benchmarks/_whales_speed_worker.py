"""One side of `whales-speed` in a process of its own.

Arguments: `ours` or `bare`, bootstrap, records to read. Prints a JSON line: seconds from the first
record to the acknowledged table value that covers the last, and bytes written to the changelog.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
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

LIMIT_S = 300.0


class TimedWorker(FaustWorker):
    """Notes when its first record came."""

    began_s = 0.0

    async def _take(self, event: Any) -> None:
        if not self.began_s:
            self.began_s = time.perf_counter()
        await super()._take(event)


async def ours(bootstrap: str, total: int) -> None:
    bus = create_bus(KafkaSection(bootstrap=bootstrap), "bench")
    await bus.create([*INPUTS, WHALE_ALERTS_V1, *INTERNAL])
    metrics = Metrics.of("whale-detector")
    publisher = bus.publisher()
    await publisher.start()
    tools = Tools(SystemClock(), Counts(metrics))
    worker = TimedWorker(
        FaustSettings(f"kafka://{bootstrap}"), tools, publisher, BusMetrics(metrics)
    )
    await worker.start()
    running = asyncio.create_task(worker.run())
    deadline_s = time.perf_counter() + LIMIT_S
    while sum(shard.offsets.get(TRADES, 0) for shard in worker.shards) < total:
        if running.done() or time.perf_counter() > deadline_s:
            raise SystemExit(f"expected {total} records within {LIMIT_S} s")
        await asyncio.sleep(0.01)
    await worker.flush()
    took_s = time.perf_counter() - worker.began_s
    size = metrics.registry.get_sample_value("teleglas_whale_changelog_bytes_total") or 0.0
    os.write(1, json.dumps([took_s, size]).encode() + b"\n")
    os._exit(0)


def bare(bootstrap: str, total: int) -> None:
    """An agent that does nothing but write one table value a record."""
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
    began: list[float] = []
    seen = [0, 0]

    async def note(stream: Any) -> None:
        async for event in stream.events():
            if not began:
                began.append(time.perf_counter())
            table[event.key] = event.value
            seen[0] += 1
            seen[1] += len(event.value)
            if seen[0] == total:
                await app.producer.buffer.flush()
                await app.producer.flush()
                os.write(1, json.dumps([time.perf_counter() - began[0], seen[1]]).encode())
                os._exit(0)

    app.agent(topic)(note)
    app.finalize()
    sys.argv = ["faust", "worker", "-l", "error", "--without-web"]
    app.main()


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        asyncio.run(ours(sys.argv[2], int(sys.argv[3])))
    else:
        bare(sys.argv[2], int(sys.argv[3]))
