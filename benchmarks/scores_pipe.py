"""Scores an hour over the whole product: from the venues' frames to records on the topic.

All seven services run on the simulated market; a score is counted when its record stands in
`signal.scores`, once an event id. Every composite market is scored at each tick of event time, so
the tick decides how many there are; the target is 10,000 an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from _product import cpu_seconds, running_product

from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas_cli.up.product import Product
from teleglas_common.bus.encode import decode
from teleglas_common.bus.testing import read_all
from teleglas_contracts import topics

SCORES_AN_HOUR = 10_000.0
WARM_UP_S = 20.0


async def scored(product: Product) -> dict[str, str]:
    """The instrument of each score that was written so far, by its id."""
    found: dict[str, str] = {}
    for records in (await read_all(product.bus, topics.SIGNAL_SCORES_V1.name)).values():
        for record in records:
            message = decode(record)
            if isinstance(message, SignalScore):
                found[message.id] = message.instrument
    return found


async def run(rate: int, tick_s: int, seconds: float) -> int:
    extra = (("TELEGLAS_SCORES__TICK_S", str(tick_s)),)
    async with running_product(rate, only_spine=False, extra_env=extra) as product:
        await asyncio.sleep(WARM_UP_S)
        before, cpu = await scored(product), await cpu_seconds(product)
        began = time.monotonic()
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - began
        used = await cpu_seconds(product)
        after = await scored(product)
    count = len(after.keys() - before.keys())
    markets = len({after[score] for score in after.keys() - before.keys()})
    an_hour = count / elapsed * 3_600
    share = (used["signal-scorer"] - cpu["signal-scorer"]) / elapsed
    print(f"{count} scores of {markets} markets in {elapsed:.0f} s, a tick of {tick_s} s")
    print(f"{an_hour:,.0f} scores an hour; signal-scorer took {share:.0%} of a core")
    ratio = an_hour / SCORES_AN_HOUR
    print(f"scores-pipe ratio={ratio:.2f} target=1.00 {'ok' if ratio >= 1 else 'short'}")
    return 0 if ratio >= 1 else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200, help="simulated trades a second")
    parser.add_argument("--tick-s", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    sys.exit(asyncio.run(run(arguments.rate, arguments.tick_s, arguments.seconds)))


if __name__ == "__main__":
    main()
