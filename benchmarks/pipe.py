"""Venue's frame to stream client over the whole product: p99 at 5,000 updates/s, then the knee.

The simulator stamps a trade with the moment it happens; a client of /v1/stream that follows the
trades of every market notes when its message arrives. Both read the same clock. An update is one
trade, ticker or book event that ingest made of a frame, by its own counter.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import statistics
import sys
import time
from dataclasses import dataclass

import msgspec
from _product import cpu_seconds, running_product, scrape

from teleglas_cli.streaming import open_stream
from teleglas_cli.up.ingest_plan import listed_markets
from teleglas_cli.up.product import Product

TARGET_MS = 100.0
AIM = 50_000
UPDATES = "teleglas_ingest_events_total"
LADDER = (1.0, 2.0, 4.0, 8.0)
FIRST_RATE = 1_000
WARM_UP_S = 15.0


class _Message(msgspec.Struct):
    type: str = ""
    timestamp: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """One step of the ladder."""

    updates_per_s: float
    trades_per_s: float
    p50_ms: float
    p99_ms: float
    busiest: str
    cpu: dict[str, float]

    def line(self) -> str:
        shares = " ".join(f"{name} {share:.0%}" for name, share in self.cpu.items())
        return (
            f"{self.updates_per_s:>8,.0f} updates/s ({self.trades_per_s:,.0f} trades/s to the "
            f"client)  p50 {self.p50_ms:.0f} ms  p99 {self.p99_ms:.0f} ms  cpu: {shares}"
        )


async def measure(product: Product, seconds: float) -> Reading:
    """Follow all trades for a while."""
    decode = msgspec.json.Decoder(_Message).decode
    delays_ms: list[float] = []
    markets = await listed_markets(product.venues)
    running = product.running
    async with open_stream(running.gateway_url, running.demo_key) as connection:
        for number, (venue, symbols) in enumerate(markets.items()):
            params = {"channel": "trades", "symbol": symbols, "venue": [venue], "snapshot": False}
            request = {"method": "subscribe", "params": params, "req_id": number}
            await connection.send(msgspec.json.encode(request).decode())
        events = await scrape(product, "ingest")
        cpu = await cpu_seconds(product)
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for frame in connection:
                    now_ms = time.time_ns() / 1e6
                    message = decode(frame)
                    if message.type == "trade":
                        delays_ms.append(now_ms - _epoch_ms(message.timestamp))
        elapsed = time.monotonic() - began
        # Before the connection is closed, which may take seconds.
        used = await cpu_seconds(product)
        updates = (await scrape(product, "ingest"))[UPDATES] - events[UPDATES]
    if len(delays_ms) < 100:
        raise SystemExit(f"expected trades on the stream, got {len(delays_ms)}")
    shares = {name: (used[name] - cpu.get(name, 0.0)) / elapsed for name in used}
    cuts = statistics.quantiles(delays_ms, n=100)
    return Reading(
        updates / elapsed,
        len(delays_ms) / elapsed,
        cuts[49],
        cuts[98],
        max(shares, key=lambda name: shares[name]),
        shares,
    )


def _epoch_ms(text: str) -> float:
    return (_epoch_s(text[:19]) + float("0" + text[19:-1])) * 1000


@functools.lru_cache(maxsize=256)
def _epoch_s(second: str) -> float:
    return time.mktime(time.strptime(second, "%Y-%m-%dT%H:%M:%S")) - time.timezone


async def step(rate: int, seconds: float) -> Reading:
    """One rate on a product of its own."""
    print(f"simulated trades/s: {rate}")
    async with running_product(rate) as product:
        await asyncio.sleep(WARM_UP_S)
        reading = await measure(product, seconds)
    print(reading.line())
    return reading


async def run(seconds: float, most: float) -> int:
    first = await step(FIRST_RATE, seconds)
    rate = round(FIRST_RATE * 5_000 / first.updates_per_s)
    at_target = await step(rate, seconds)
    knee, bent = at_target, False
    for factor in LADDER[1:]:
        if factor > most:
            break
        reading = await step(round(rate * factor), seconds)
        if reading.p99_ms > 10 * TARGET_MS or reading.updates_per_s < knee.updates_per_s * 1.1:
            bent = True
            print(f"beyond the knee at {reading.updates_per_s:,.0f} updates/s: {reading.busiest}")
            break
        knee = reading
    label = "knee" if bent else "no knee up to"
    print(f"{label} {knee.updates_per_s:,.0f} updates/s of {AIM:,} aimed at")
    print(f"busiest there: {knee.busiest}")
    ratio = TARGET_MS / at_target.p99_ms
    good = at_target.p99_ms < TARGET_MS
    print(
        f"at {at_target.updates_per_s:,.0f} updates/s p99 {at_target.p99_ms:.0f} ms, "
        f"limit {TARGET_MS:.0f} ms"
    )
    print(f"pipe ratio={ratio:.2f} target=1.0 {'ok' if good else 'short'}")
    return 0 if good else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="measured at each rate")
    parser.add_argument("--most", type=float, default=8.0, help="highest multiple of 5,000/s")
    arguments = parser.parse_args()
    sys.exit(asyncio.run(run(arguments.seconds, arguments.most)))


if __name__ == "__main__":
    main()
