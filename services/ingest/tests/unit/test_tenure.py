"""A reserve takes a shard over, as the venue's instruments are by then."""

from __future__ import annotations

import time
from random import Random

import msgspec

from teleglas_common.bus.memory import MemoryBus
from teleglas_contracts import topics
from teleglas_ingest.domain.instrument import Instrument
from teleglas_ingest.pipeline.meters import Counts
from teleglas_ingest.pipeline.pace import Pace
from teleglas_ingest.pipeline.shard import ShardPolicy
from teleglas_ingest.ports import Lease
from teleglas_ingest.tenure import Duties, stand_by
from teleglas_ingest.testing import FakeDialer, FakeRest, spot
from teleglas_ingest.venues.binance.client import BinanceSpot


class Exchange(BinanceSpot):
    """Binance with one instrument, which may change."""

    def __init__(self) -> None:
        super().__init__(FakeRest(), "ws://x")
        self.instrument = spot().instrument

    async def instruments(self) -> list[Instrument]:
        return [self.instrument]


async def duties_of(venue: Exchange) -> Duties:
    bus = MemoryBus()
    await bus.create([t for t in topics.ALL if ".market." in t.name])
    return Duties(
        venue=venue,
        symbols=("BTC-USDT",),
        shards=1,
        policy=ShardPolicy(),
        bus=bus,
        publisher=bus.publisher(),
        dialer=FakeDialer(),
        connects=Pace(1000.0, burst=1000, monotonic_ns=time.monotonic_ns),
        meters=Counts(),
        random=Random(1),
        wall_ns=time.time_ns,
        monotonic_ns=time.monotonic_ns,
        outbox_items=100,
        progress_lease_s=10.0,
        instruments_every_s=60.0,
    )


async def test_a_reserve_goes_on_while_its_instruments_are_as_they_were() -> None:
    """Its books and connections are what it stood by for."""
    venue = Exchange()
    standby = await stand_by(await duties_of(venue), 0)
    tenure = await standby.take_over(Lease("binance", 0, "b", 2))
    assert not standby.is_finished
    assert tenure.shard is standby.shard
    await standby.close()


async def test_a_reserve_of_another_scale_is_begun_anew() -> None:
    """Numbers scaled by exponents that hold no more would be wrong by powers of ten."""
    venue = Exchange()
    standby = await stand_by(await duties_of(venue), 0)
    venue.instrument = msgspec.structs.replace(venue.instrument, price_exponent=-3)
    tenure = await standby.take_over(Lease("binance", 0, "b", 2))
    assert standby.is_finished
    (feed,) = tenure.shard.feeds.values()
    assert feed.market.instrument.price_exponent == -3
