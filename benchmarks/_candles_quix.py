"""The Quix Streams peer of `candles`: one stateful step a record, RocksDB with its changelog,
closed candles sent, checkpoints each second.

Arguments: bootstrap, topic, topic of closed candles, partitions, records to read. Prints seconds.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any

from _candles_fold import fold
from quixstreams import Application  # type: ignore[import-not-found]

from teleglas.market.v1.trade_pb2 import TradeBatch

BOOTSTRAP, TOPIC, SINK = sys.argv[1:4]
COUNT = int(sys.argv[5])
SCHEMA = b"teleglas.market.v1.TradeBatch"


def main() -> None:
    app = Application(
        broker_address=BOOTSTRAP,
        consumer_group=f"quix-{os.getpid()}",
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=tempfile.mkdtemp(),
        loglevel="ERROR",
    )
    source = app.topic(TOPIC, value_deserializer="bytes", key_deserializer="bytes")
    sink = app.topic(SINK, value_serializer="json")
    began: list[float] = []
    seen = [0]

    def step(value: bytes, _key: Any, _ts: int, headers: Any, state: Any) -> list[list[int]]:
        if not began:
            began.append(time.perf_counter())
        seen[0] += 1
        if seen[0] == COUNT:
            app.stop()
        if headers[0][1] != SCHEMA:
            return []
        bars = state.get("bars") or {}
        closed = fold(bars, TradeBatch.FromString(value))
        state.set("bars", bars)
        return closed

    frame = app.dataframe(source)
    frame = frame.apply(step, stateful=True, metadata=True, expand=True)
    frame.to_topic(sink)
    app.run()
    print(json.dumps(time.perf_counter() - began[0]), flush=True)


if __name__ == "__main__":
    main()
