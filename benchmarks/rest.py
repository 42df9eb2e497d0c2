"""All seven services with the embedded stack while the market is quiet: memory and CPU.

Quiet is a market of a trade a second over a dozen instruments, in which prices and quotes move as
slowly as it trades, and nobody plants whales.
Memory is what the machine has given to all processes together, shared pages counted once; the
simulator, the chat and the supervisor are named apart, as no other deployment has them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from _product import cpu_seconds, running_product, scrape

from teleglas_cli.up.usage import Usage

LIMIT_MB = 1_400.0
LIMIT_CPU = 0.20
LOCAL = ("venues", "botapi", "up")
WARM_UP_S = 60.0
UPDATES = "teleglas_ingest_events_total"
NO_WHALES = {"TELEGLAS_SIM_WHALE_INTERVAL_S": "0", "TELEGLAS_SIM_CASCADE_INTERVAL_S": "0"}


async def run(rate: int, seconds: float) -> int:
    usage = Usage()
    async with running_product(rate, only_spine=False) as product:
        await asyncio.sleep(WARM_UP_S)
        events = (await scrape(product, "ingest"))[UPDATES]
        before = await cpu_seconds(product)
        began = time.monotonic()
        await asyncio.sleep(seconds)
        after = await cpu_seconds(product)
        elapsed = time.monotonic() - began
        events = (await scrape(product, "ingest"))[UPDATES] - events
        await asyncio.to_thread(usage.sample, list(product.everything()))
    cpu = {name: (after[name] - before[name]) / elapsed for name in after}
    for name, size_mb in sorted(usage.now_mb.items()):
        print(f"{name:<16} {size_mb:7.1f} MB  {cpu.get(name, 0.0):6.1%} of a core")
    own_mb = sum(size for name, size in usage.now_mb.items() if name not in LOCAL)
    own_cpu = sum(share for name, share in cpu.items() if name not in LOCAL)
    print(f"all {sum(usage.now_mb.values()):.0f} MB, {sum(cpu.values()):.1%} of a core")
    print(f"services and stack {own_mb:.0f} MB, {own_cpu:.1%} of a core; {rate} trades/s")
    print(f"{events / elapsed:.1f} updates/s came from the venues")
    ratio = min(LIMIT_MB / sum(usage.now_mb.values()), LIMIT_CPU / own_cpu)
    print(f"rest ratio={ratio:.2f} target=1.0 {'ok' if ratio >= 1 else 'short'}")
    return 0 if ratio >= 1 else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1, help="simulated trades a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    os.environ.update(NO_WHALES)
    sys.exit(asyncio.run(run(arguments.rate, arguments.seconds)))


if __name__ == "__main__":
    main()
