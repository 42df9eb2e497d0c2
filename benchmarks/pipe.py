"""Venue's frame to stream client over the whole product: p99 at 5,000 updates/s, then the knee.

The simulator stamps a trade with the moment it happens; a client of /v1/stream that follows the
trades of every market notes when its message arrives. Both read the same clock. An update is one
trade, ticker or book event that ingest made of a frame, by its own counter.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import statistics
import sys
import time
from dataclasses import dataclass

import msgspec
import uvloop
from _product import cpu_seconds, running_product, scrape
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from teleglas_cli.up.ingest_plan import listed_markets
from teleglas_cli.up.product import Product

TARGET_MS = 100.0
WANTED, CLOSE = 5_000, 0.03
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


class _Follower(WSListener):
    """Notes how late each trade is. It shares two cores with what it measures, so it is light."""

    def __init__(self) -> None:
        self.delays_ms: list[float] = []
        self._decode = msgspec.json.Decoder(_Message).decode

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        now_ms = time.time_ns() / 1e6
        if frame.msg_type is WSMsgType.TEXT:
            message = self._decode(frame.get_payload_as_memoryview())
            if message.type == "trade":
                self.delays_ms.append(now_ms - _epoch_ms(message.timestamp))


async def measure(product: Product, seconds: float) -> Reading:
    """Follow all trades for a while."""
    markets = await listed_markets(product.venues)
    running = product.running
    follower = _Follower()
    transport, _ = await ws_connect(
        lambda: follower,
        running.gateway_url.replace("http", "ws", 1) + "/v1/stream",
        extra_headers={"Authorization": f"Bearer {running.demo_key}"},
    )
    for number, (venue, symbols) in enumerate(markets.items()):
        params = {"channel": "trades", "symbol": symbols, "venue": [venue], "snapshot": False}
        request = {"method": "subscribe", "params": params, "req_id": number}
        transport.send(WSMsgType.TEXT, msgspec.json.encode(request))
    events = await scrape(product, "ingest")
    cpu = await cpu_seconds(product)
    began = time.monotonic()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - began
    delays_ms = follower.delays_ms
    used = await cpu_seconds(product)
    updates = (await scrape(product, "ingest"))[UPDATES] - events[UPDATES]
    transport.disconnect()
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
    rate = round(FIRST_RATE * WANTED / first.updates_per_s)
    at_target = await step(rate, seconds)
    if abs(at_target.updates_per_s - WANTED) > CLOSE * WANTED:
        # Quotes do not grow as trades do: the line through both is close enough.
        slope = (at_target.updates_per_s - first.updates_per_s) / (rate - FIRST_RATE)
        rate += round((WANTED - at_target.updates_per_s) / slope)
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
    sys.exit(uvloop.run(run(arguments.seconds, arguments.most)))


if __name__ == "__main__":
    main()
