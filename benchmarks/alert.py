"""From the crossing fill's frame to the Telegram call, over all seven services at 5,000 updates/s.

The simulator stamps a fill with the moment it happens, which becomes the `ts_event` of the alert
that it makes; notification notes when the Bot API of this machine has answered the call. Both read
the same clock. Counted are first messages of alerts, not edits. An update is one trade, ticker or
book event that ingest made of a frame, by its own counter.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time

from _product import cpu_seconds, running_product, scrape

from teleglas.notification.v1.notification_pb2 import DELIVERY_STATUS_SENT, Delivery
from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_cli.up.product import Product
from teleglas_common.bus.encode import decode
from teleglas_common.bus.testing import read_all
from teleglas_contracts import topics

TARGET_MS = 1_000.0
UPDATES = "teleglas_ingest_events_total"
SETTINGS = (
    ("TELEGLAS_DETECTOR__MIN_OBSERVATIONS", "500"),
    ("TELEGLAS_DETECTOR__QUANTILE", "0.999"),
    ("TELEGLAS_TELEGRAM__DEFAULT_BUDGET_PER_HOUR", "10000"),
    ("TELEGLAS_DELIVERY__CHAT_GAP_S", "0.02"),
)
"""Telegram allows a chat one call a second, so in a burst of alerts the tenth waits for ten: that
pace is its own, and not what is measured. All calls go to one chat here, which allows more.
"""


async def delays_ms(product: Product) -> list[float]:
    """Of each alert, from the fill that crossed the threshold to its first message."""
    crossed: dict[str, int] = {}
    for records in (await read_all(product.bus, topics.WHALE_ALERTS_V1.name)).values():
        for record in records:
            message = decode(record)
            if isinstance(message, WhaleAlert):
                crossed.setdefault(message.id, message.ts_event)
    told: dict[str, int] = {}
    for records in (await read_all(product.bus, topics.NOTIFICATION_DELIVERIES_V1.name)).values():
        for record in records:
            message = decode(record)
            if isinstance(message, Delivery) and message.status == DELIVERY_STATUS_SENT:
                told.setdefault(message.event_id, message.ts_delivered)
    return [(told[alert] - crossed[alert]) / 1e6 for alert in told if alert in crossed]


async def run(rate: int, seconds: float) -> int:
    async with running_product(rate, only_spine=False, extra_env=SETTINGS) as product:
        events, cpu = await scrape(product, "ingest"), await cpu_seconds(product)
        began = time.monotonic()
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - began
        updates = (await scrape(product, "ingest"))[UPDATES] - events[UPDATES]
        used = await cpu_seconds(product)
        delays = await delays_ms(product)
    shares = " ".join(f"{name} {(used[name] - cpu[name]) / elapsed:.0%}" for name in used)
    print(f"{updates / elapsed:,.0f} updates/s; cpu: {shares}")
    if len(delays) < 20:
        raise SystemExit(f"expected 20 messages or more, got {len(delays)}: run for longer")
    cuts = statistics.quantiles(delays, n=100)
    print(f"{len(delays)} messages: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms")
    good = cuts[98] < TARGET_MS
    print(f"alert ratio={TARGET_MS / cuts[98]:.2f} target=1.0 {'ok' if good else 'short'}")
    return 0 if good else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=3_360, help="simulated trades a second")
    parser.add_argument("--seconds", type=float, default=240.0)
    arguments = parser.parse_args()
    sys.exit(asyncio.run(run(arguments.rate, arguments.seconds)))


if __name__ == "__main__":
    main()
