"""What is kept in memory for resumes: bounded, in order, and never a guess."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from teleglas_common.bus.memory import MemoryBus
from teleglas_common.testing import eventually
from teleglas_contracts.topics import MARKET_TRADES_V1
from teleglas_gateway.channels.trades import CHANNEL
from teleglas_gateway.domain.positions import SubjectKey
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.stream.recent import PIECE_EVENTS, Recent
from teleglas_gateway.stream.sequence import PartitionLog
from teleglas_gateway.testing import publish, trade_batch
from teleglas_gateway.testing.edge import make_bus, open_streams
from teleglas_gateway.testing.follower import Follower

KEYS = tuple(SubjectKey("trades", "binance", name) for name in ("BTC-USDT", "ETH-USDT"))
GROWTH = """
import gc, psutil
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_gateway.channels.trades import CHANNEL
from teleglas_gateway.domain.symbols import Catalogue
from teleglas_gateway.stream.recent import Recent
from teleglas_gateway.stream.sequence import PartitionLog
from teleglas_gateway.stream.wire import LegacyWire, V1Wire
from teleglas_gateway.testing import trade_batch

wires = V1Wire(), LegacyWire(Catalogue("USDT").short_name)
shapes = {
    count: [trade_batch(1 + n * count, count).SerializeToString() for n in range(6_000 // count)]
    for count in (1, 4, 50)
}
gc.collect()
before = psutil.Process().memory_info().rss
kept = []
for raws in shapes.values():
    log, recent = PartitionLog(CHANNEL, "epoch"), Recent(1 << 40)
    kept.append(recent)
    for offset, raw in enumerate(raws):
        events = log.read(offset, TradeBatch.FromString(raw))
        for event in events:
            for wire in wires:
                event.frame(wire)
        recent.add(events, len(raw))
grown = psutil.Process().memory_info().rss - before
print(grown / sum(recent.held_bytes for recent in kept))
"""


@given(
    records=st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 4)), max_size=40),
    max_bytes=st.integers(0, 60_000),
    asked=st.integers(0, 45 << 10),
)
def test_what_follows_a_position_is_said_whole_or_not_at_all(records, max_bytes, asked):
    """Whatever was let go of: an answer holds every later message, and the bound holds."""
    log, recent, said, first = PartitionLog(CHANNEL, "epoch"), Recent(max_bytes), [], 1
    for offset, (key, count) in enumerate(records):
        batch = trade_batch(first, count, instrument=key.instrument)
        first += count
        events = log.read(offset, batch)
        recent.add(events, batch.ByteSize())
        said += events
        assert recent.held_bytes <= max_bytes
    for key in KEYS:
        mine = [event for event in said if event.subject == key]
        last = log.last_seq(key)
        if last is None:
            assert not mine
            continue
        for seq in (asked, *(event.seq or 0 for event in mine)):
            found = recent.after(key, seq, last)
            if found is not None:
                assert seq in {event.seq for event in mine}
                assert found == [event for event in mine if event.seq > seq]
        if mine:
            assert recent.after(key, mine[-1].seq or 0, last) == []


def test_a_long_past_is_handed_out_in_pieces():
    """A slow client keeps few messages from being let go of."""
    log, recent = PartitionLog(CHANNEL, "epoch"), Recent(1 << 30)
    for offset in range(600):
        recent.add(log.read(offset, trade_batch(offset + 1)), 100)
    seqs: list[int] = []
    at = 0
    while piece := recent.after(KEYS[0], at, log.last_seq(KEYS[0]) or 0):
        assert len(piece) <= PIECE_EVENTS
        seqs += [event.seq or 0 for event in piece]
        at = seqs[-1]
    assert seqs == [offset << 10 for offset in range(1, 600)]


def test_memory_grows_by_no_more_than_is_counted():
    """With trades one a record or many, and each encoded in both formats."""
    grown = subprocess.run([sys.executable, "-c", GROWTH], check=True, capture_output=True)
    assert 0.4 < float(grown.stdout) < 1.0


class CountingBus(MemoryBus):
    """Counts the readers that were opened, and can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.readers = 0

    def reader(self, positions, *, follows=False):
        self.readers += 1
        return super().reader(positions, follows=follows)


async def test_a_recent_resume_opens_no_reader_and_an_old_one_does():
    """Only a client that was away for longer than memory reaches costs the log a reader."""
    bus = CountingBus()
    async with open_streams(StreamSettings(recent_bytes=20_000), bus=await make_bus(bus)) as edge:
        follower = Follower(edge)
        await follower.connect()
        at_first, published = bus.readers, 1
        for missed, readers, most in ((0, 0, 20_000), (3, 0, 20_000), (50, 1, 20_000)):
            await publish(edge.bus, MARKET_TRADES_V1, trade_batch(published))
            await follower.catch_up_to(published)
            follower.disconnect()
            for number in islice(range(published + 1, 1_000), missed):
                await publish(edge.bus, MARKET_TRADES_V1, trade_batch(number))
            published += missed
            await eventually(partial(_has, edge, published), every_s=0)
            await follower.connect()
            await eventually(lambda: bool(follower.pipe.of("resumed")), every_s=0)
            assert follower.pipe.of("resumed")[0]["recovered"] is True
            assert bus.readers - at_first == readers
            held = edge.metrics.registry.get_sample_value("teleglas_gateway_recent_bytes")
            assert held is not None
            assert held <= most
            published += 1
        counted = edge.metrics.registry.get_sample_value("teleglas_gateway_log_replays_total")
        assert counted == 1
        follower.disconnect()
        ids = [int(message["data"]["id"]) for message in follower.heard]
        assert ids == list(range(1, published))


def _has(edge, published):
    last = edge.streams.hub.subject(KEYS[0]).last_seq
    return last is not None and (last >> 10) + 1 == published
