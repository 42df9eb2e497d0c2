"""One tenure of one shard: instruments, tails, feeds and connections under one writer epoch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random

import msgspec
import structlog
from msgspec import Struct

from teleglas.market.v1.instrument_pb2 import Instrument as InstrumentMessage
from teleglas_common.bus.ports import Bus, Publisher
from teleglas_ingest.adapters.encode import instrument_message
from teleglas_ingest.adapters.publisher import BusWriter, partition_of
from teleglas_ingest.adapters.tail import read_instruments, read_tails
from teleglas_ingest.domain.backoff import Backoff
from teleglas_ingest.domain.instrument import Instrument, Market
from teleglas_ingest.domain.numbers import RefusedError
from teleglas_ingest.pipeline.meters import Meters
from teleglas_ingest.pipeline.outbox import InstrumentOut, Outbox
from teleglas_ingest.pipeline.pace import Pace
from teleglas_ingest.pipeline.plan import shard_of
from teleglas_ingest.pipeline.shard import Shard, ShardPolicy
from teleglas_ingest.pipeline.tail import Tail
from teleglas_ingest.ports import Dialer, Lease, RestError, Venue

__all__ = ["Duties", "ShardTenure", "Standby", "begin_tenure", "stand_by"]

_log = structlog.get_logger(__name__)

REFRESH_TIMEOUT_S = 3.0
"""Of a take-over's look at the instruments, beside that at the tails."""


class Duties(Struct, frozen=True, kw_only=True):
    """What one venue's shards are to do, and with what."""

    venue: Venue
    symbols: tuple[str, ...]
    shards: int
    policy: ShardPolicy
    bus: Bus
    publisher: Publisher
    dialer: Dialer
    connects: Pace
    meters: Meters
    random: Random
    wall_ns: Callable[[], int]
    monotonic_ns: Callable[[], int]
    outbox_items: int
    progress_lease_s: float
    instruments_every_s: float


class ShardTenure:
    """Runs a shard and keeps its reference data true. Ends by itself when an instrument changed so
    that its books and batches have to be begun anew.
    """

    def __init__(
        self,
        duties: Duties,
        shard: Shard,
        writer: BusWriter,
        outbox: Outbox,
        catalogue: _Catalogue,
        markets: Sequence[Market],
        running: asyncio.Task[None] | None = None,
    ) -> None:
        """`running`: the shard runs already, it stood by."""
        self.shard = shard
        self._running = running
        self._duties = duties
        self._writer = writer
        self._outbox = outbox
        self._catalogue = catalogue
        self._markets = {market.symbol: market.instrument for market in markets}

    async def run(self) -> None:
        running = self._running or asyncio.create_task(self.shard.run())
        writing = asyncio.create_task(self._writer.run())
        watching = asyncio.create_task(self._watch_instruments())
        tasks = {running, writing, watching}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def leave(self) -> None:
        await self._writer.drain()

    def fence(self) -> None:
        self._writer.fence()

    @property
    def trouble(self) -> str | None:
        links = self.shard.links
        if links and all(link.session is None for link in links):
            return f"none of {len(links)} connections is open"
        return None

    async def _watch_instruments(self) -> None:
        """Publish what changed; return when a change touches the scale of numbers."""
        while True:
            await asyncio.sleep(self._duties.instruments_every_s)
            found = await _instruments(self._duties.venue, self._duties.random)
            for instrument in found:
                known = self._markets.get(instrument.symbol)
                if known is None:
                    continue
                self._catalogue.publish(instrument)
                if _rescaled(known, instrument):
                    _log.warning("instrument changed its scale", instrument=instrument.key)
                    return


class _Catalogue:
    """The versions of instruments, as market.instruments has them."""

    def __init__(
        self,
        published: Mapping[str, InstrumentMessage],
        outbox: Outbox,
        wall_ns: Callable[[], int],
    ) -> None:
        self._published = dict(published)
        self._outbox = outbox
        self._wall_ns = wall_ns

    def publish(self, instrument: Instrument) -> None:
        """Put out an instrument that differs from its last version."""
        before = self._published.get(instrument.symbol)
        version = before.version if before is not None else 0
        ts_effective = before.ts_effective if before is not None else 0
        message = instrument_message(instrument, version=version, ts_effective=ts_effective)
        if before is not None and message == before:
            return
        now_ns = self._wall_ns()
        self._published[instrument.symbol] = instrument_message(
            instrument, version=version + 1, ts_effective=now_ns
        )
        self._outbox.put(InstrumentOut(instrument, version + 1, now_ns))


def _fit(before: Sequence[Market], after: Sequence[Market]) -> bool:
    """Books and batches of the ones can go on as those of the others."""
    known = {market.symbol: market.instrument for market in before}
    return {market.symbol for market in after} == set(known) and not any(
        _rescaled(known[market.symbol], market.instrument) for market in after
    )


def _rescaled(before: Instrument, after: Instrument) -> bool:
    return (
        before.price_exponent != after.price_exponent
        or before.size_exponent != after.size_exponent
        or before.contracts_exponent != after.contracts_exponent
        or before.contract_multiplier != after.contract_multiplier
        or before.inverse != after.inverse
        or before.venue_symbol != after.venue_symbol
    )


async def _instruments(venue: Venue, random: Random) -> list[Instrument]:
    """Ask until the venue answers: nothing can be understood without them."""
    backoff = Backoff(random)
    while True:
        try:
            return await venue.instruments()
        except (RestError, RefusedError, msgspec.MsgspecError) as error:
            wait_s = backoff.failed()
            _log.warning("no instruments", venue=venue.name, error=str(error), retry_s=wait_s)
            await asyncio.sleep(wait_s)


async def begin_tenure(duties: Duties, lease: Lease) -> ShardTenure:
    """Look at the venue's instruments and the topics' tails, and make everything ready to run."""
    markets = await _markets(duties, lease.shard)
    tails = await read_tails(duties.bus, duties.venue.name, [m.symbol for m in markets])
    outbox = _outbox(duties)
    shard = _shard(duties, lease.shard, markets, tails, outbox, lease.epoch)
    return await _tenure(duties, lease, shard, outbox, markets, None)


class Standby:
    """A shard that is connected and in step while another process still owns it."""

    def __init__(
        self, duties: Duties, shard: Shard, outbox: Outbox, markets: Sequence[Market]
    ) -> None:
        self._duties = duties
        self.shard = shard
        self._outbox = outbox
        self._markets = markets
        self._running = asyncio.create_task(shard.run())

    async def take_over(self, lease: Lease) -> ShardTenure:
        """The lease is ours: write from where the other one stopped."""
        duties = self._duties
        symbols = [market.symbol for market in self._markets]
        tails, markets = await asyncio.gather(
            read_tails(duties.bus, duties.venue.name, symbols), self._fresh_markets(lease.shard)
        )
        if not _fit(self._markets, markets):
            _log.warning("instruments changed while standing by", venue=duties.venue.name)
            await self.close()
            return await begin_tenure(duties, lease)
        self.shard.adopt(tails, lease.epoch)
        return await _tenure(duties, lease, self.shard, self._outbox, markets, self._running)

    async def _fresh_markets(self, shard: int) -> Sequence[Market]:
        """The instruments as they are now; as they were where the venue does not say in time: then
        the watch over them tells later.
        """
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_S):
                return await _markets(self._duties, shard)
        except TimeoutError:
            _log.warning("instruments not refreshed", venue=self._duties.venue.name)
            return self._markets

    @property
    def is_finished(self) -> bool:
        return self._running.done()

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


async def stand_by(duties: Duties, shard: int) -> Standby:
    """Connect and follow the markets of a shard, and publish nothing."""
    markets = await _markets(duties, shard)
    outbox = _outbox(duties)
    outbox.hold()
    return Standby(duties, _shard(duties, shard, markets, {}, outbox, 0), outbox, markets)


async def _markets(duties: Duties, shard: int) -> list[Market]:
    venue = duties.venue
    found = {i.symbol: i for i in await _instruments(venue, duties.random)}
    wanted = [s for s in duties.symbols if _is_ours(s, shard, duties.shards)]
    missing = [symbol for symbol in wanted if symbol not in found]
    if missing:
        _log.error("unknown symbols", venue=venue.name, symbols=missing)
        for _ in missing:
            duties.meters.refused(venue.name, "unknown_symbol")
    return [Market(found[symbol]) for symbol in wanted if symbol in found]


def _outbox(duties: Duties) -> Outbox:
    return Outbox(high=duties.outbox_items, low=duties.outbox_items // 4)


def _shard(
    duties: Duties,
    number: int,
    markets: Sequence[Market],
    tails: Mapping[str, Tail],
    outbox: Outbox,
    writer_epoch: int,
) -> Shard:
    return Shard(
        duties.venue,
        number,
        markets,
        tails,
        outbox,
        duties.dialer,
        duties.connects,
        duties.meters,
        writer_epoch=writer_epoch,
        policy=duties.policy,
        partition=partition_of,
        random=duties.random,
        wall_ns=duties.wall_ns,
        monotonic_ns=duties.monotonic_ns,
    )


async def _tenure(
    duties: Duties,
    lease: Lease,
    shard: Shard,
    outbox: Outbox,
    markets: Sequence[Market],
    running: asyncio.Task[None] | None,
) -> ShardTenure:
    published = await read_instruments(duties.bus, duties.venue.name)
    catalogue = _Catalogue(published, outbox, duties.wall_ns)
    for market in markets:
        catalogue.publish(market.instrument)
    writer = BusWriter(
        outbox,
        duties.publisher,
        writer_epoch=lease.epoch,
        contiguous=duties.venue.contiguous,
        lease_ns=int(duties.progress_lease_s * 1e9),
        wall_ns=duties.wall_ns,
    )
    return ShardTenure(duties, shard, writer, outbox, catalogue, markets, running)


def _is_ours(symbol: str, shard: int, shards: int) -> bool:
    return shard_of(symbol.partition("-")[0], shards) == shard
