"""Scores a minute through the service's shard, and how long a tick takes from record to record.

Eight instruments, candles of 1s, 1m, 5m and 15m and whale alerts with marks go as records through
decoding, handlers, the shard and its publisher, in the order of event time, ten minutes after an
hour of warm-up that is not measured. A tick is timed from the record that makes it due to its score
given to the publisher, with decoding, the layers, the receipt and its serialisation. The target is
1,000 scores a minute at less than 10 ms each; the ratio is the worse of both as a share of it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import time
from collections.abc import Iterator

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.types_pb2 import SIDE_BUY, SIDE_SELL
from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_common.bus.encode import decode, outgoing
from teleglas_common.bus.ports import Incoming, Outgoing, Record
from teleglas_common.clock import SystemClock
from teleglas_common.telemetry import Metrics
from teleglas_contracts import topics
from teleglas_signal_scorer.counts import Counts
from teleglas_signal_scorer.domain.feed import Cadence
from teleglas_signal_scorer.domain.intervals import SECOND_NS
from teleglas_signal_scorer.domain.weights import FIRST
from teleglas_signal_scorer.ports import Checkpoint, Restored
from teleglas_signal_scorer.routes import ROUTES
from teleglas_signal_scorer.shard import ScorerShard, Tools

ASSETS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LTC", "LINK")
BEGIN_NS = 1_735_689_600_000_000_000
LENGTHS = (("1s", 1), ("1m", 60), ("5m", 300), ("15m", 900))
WARM_UP_S = 3_600
SCORES_A_MINUTE = 1_000.0
MOST_MS = 10.0
HANDLERS = {(route.topic.name, route.schema): route.handler for route in ROUTES}


class Nowhere:
    """Counts what is given to it."""

    sent = 0

    async def send(self, record: Outgoing) -> None:
        self.sent += bool(record.value)

    async def flush(self) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class NoStore:
    """Weights and nothing else."""

    async def restore(self, shard: int) -> Restored:
        return Restored(shard + 1, weights=[FIRST])

    async def save(self, checkpoint: Checkpoint) -> None:
        del checkpoint

    async def license(self, shard: int, generation: int, until: int) -> list[object]:
        del shard, generation, until
        return [FIRST]


def market(seconds: int) -> Iterator[Outgoing]:
    """Records of all instruments, second by second."""
    rng = random.Random(5)
    prices = dict.fromkeys(ASSETS, 6_000_000)
    for second in range(seconds):
        for asset in ASSETS:
            prices[asset] += rng.randrange(-300, 301)
            yield from _closed(f"{asset}-USDT", second, prices[asset], rng)
            yield from _alerts(f"{asset}-USDT", second, rng)


def _closed(instrument: str, second: int, price: int, rng: random.Random) -> Iterator[Outgoing]:
    for name, length in LENGTHS:
        if (second + 1) % length:
            continue
        begin = BEGIN_NS + (second + 1 - length) * SECOND_NS
        volume = rng.randrange(1_000, 90_000)
        candle = Candle(
            venue="composite", instrument=instrument, interval=name, ts_open=begin,
            ts_close=begin + length * SECOND_NS, price_exponent=-2, size_exponent=-3,
            quote_exponent=-5, open=price - 40, high=price + 90, low=price - 90, close=price,
            volume=volume, quote_volume=volume * price, taker_buy_volume=rng.randrange(volume),
            trades=5, is_closed=True, completeness=1.0,
        )  # fmt: skip
        key = f"composite:{instrument}:{name}"
        yield outgoing(topics.MARKET_CANDLES_V1, candle, key=key, subject=instrument, now_ns=0)


def _alerts(instrument: str, second: int, rng: random.Random) -> Iterator[Outgoing]:
    ts = BEGIN_NS + (second + 1) * SECOND_NS
    topic = topics.WHALE_ALERTS_V1
    if rng.random() < 0.02:
        alert = WhaleAlert(
            id=f"{instrument}:{second}", venue="binance", instrument=instrument,
            side=rng.choice((SIDE_BUY, SIDE_SELL)),
            notional=rng.randrange(10**5, 10**6), ts_event=ts - 1,
        )  # fmt: skip
        yield outgoing(topic, alert, key=alert.id, subject=instrument, now_ns=0)
    mark = Progress(
        venue="binance", source="whale-detector/0", writer_epoch=1, ts_event=ts,
        instruments=[instrument], lease_ns=10**10,
    )  # fmt: skip
    yield outgoing(topic, mark, key=mark.source, subject=instrument, now_ns=0)


async def measure(seconds: int, tick_s: int) -> tuple[list[float], float]:
    """Milliseconds of each tick behind the warm-up, and the scores a minute."""
    publisher = Nowhere()
    cadence = Cadence(tick_s * SECOND_NS, 10 * SECOND_NS)
    tools = Tools(NoStore(), publisher, SystemClock(), Counts(Metrics()), cadence, 60.0)  # type: ignore[arg-type]
    shard = ScorerShard(0, tools)
    await shard.restore()
    records = [
        Record(one.topic, 0, at, one.key, one.value, one.headers, 0)
        for at, one in enumerate(market(WARM_UP_S + seconds))
    ]
    gc.collect()
    gc.freeze()
    warm = BEGIN_NS + WARM_UP_S * SECOND_NS
    ticks: list[float] = []
    began_s = time.perf_counter()
    measured = False
    for at, record in enumerate(records):
        before = publisher.sent
        since_s = time.perf_counter()
        message = decode(record)
        await HANDLERS[record.topic, type(message)](shard, Incoming(message, record))
        spent_s = time.perf_counter() - since_s
        if not measured and isinstance(message, Candle) and message.ts_open >= warm:
            measured, began_s = True, since_s
        if measured and publisher.sent > before:
            ticks += [spent_s * 1e3 / (publisher.sent - before)] * (publisher.sent - before)
        if at % 2_000 == 0:
            await shard.checkpoint({})
    return ticks, len(ticks) / (time.perf_counter() - began_s) * 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=int, default=600, help="of market time behind the warm-up"
    )
    parser.add_argument("--tick-s", type=int, default=10)
    arguments = parser.parse_args()
    ticks, rate = asyncio.run(measure(arguments.seconds, arguments.tick_s))
    ticks.sort()
    p50, p99 = ticks[len(ticks) // 2], ticks[int(len(ticks) * 0.99)]
    print(f"{len(ticks)} scores behind {WARM_UP_S} s of warm-up, {len(ASSETS)} instruments")
    print(f"{rate:,.0f} scores a minute with all records between them")
    print(f"tick p50={p50:.3f} ms p99={p99:.3f} ms most={ticks[-1]:.3f} ms")
    ratio = min(rate / SCORES_A_MINUTE, MOST_MS / p99)
    print(f"scores ratio={ratio:.2f} target=1.00 {'ok' if ratio >= 1.0 else 'short'}")


if __name__ == "__main__":
    main()
