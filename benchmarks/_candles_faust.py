"""The Faust peer of `candles`: an agent, a table of open bars with changelog, closed ones sent.

Arguments: bootstrap, topic, topic of closed candles, partitions, records to read. Prints seconds.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any

import faust
from _candles_fold import fold

from teleglas.market.v1.trade_pb2 import TradeBatch

BOOTSTRAP, TOPIC, SINK = sys.argv[1:4]
PARTITIONS, COUNT = int(sys.argv[4]), int(sys.argv[5])
SCHEMA = b"teleglas.market.v1.TradeBatch"

app = faust.App(
    f"faust-{os.getpid()}",
    broker=f"kafka://{BOOTSTRAP}",
    store="memory://",
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    broker_commit_interval=1.0,
    stream_wait_empty=False,
    value_serializer="raw",
    key_serializer="raw",
    web_enabled=False,
    datadir=tempfile.mkdtemp(),
)
trades = app.topic(TOPIC, key_type=bytes, value_type=bytes, value_serializer="raw")
candles = app.topic(SINK, value_type=bytes, value_serializer="raw")
table = app.Table("bars", partitions=PARTITIONS, key_type=bytes, value_type=dict)
began: list[float] = []
seen = [0]


@app.agent(trades)
async def count(stream: Any) -> None:
    async for event in stream.events():
        if not began:
            began.append(time.perf_counter())
        if event.headers.get("schema") == SCHEMA:
            state = table.get(event.key) or {}
            closed = fold(state, TradeBatch.FromString(event.value))
            table[event.key] = state
            for candle in closed:
                await candles.send(value=json.dumps(candle).encode())
        seen[0] += 1
        if seen[0] == COUNT:
            await app.producer.flush()
            await app.consumer.commit()
            os.write(1, json.dumps(time.perf_counter() - began[0]).encode())
            os._exit(0)


if __name__ == "__main__":
    app.finalize()
    sys.argv = ["faust", "worker", "-l", "error", "--without-web"]
    app.main()
