"""Resume: a client that loses its connection misses nothing and hears nothing twice."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from teleglas_common.bus.memory import MemoryBus
from teleglas_common.testing import eventually
from teleglas_contracts.topics import MARKET_TRADES_V1
from teleglas_gateway.domain.positions import SubjectKey
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.testing import publish, trade_batch
from teleglas_gateway.testing.edge import make_bus, open_streams
from teleglas_gateway.testing.follower import Follower

SUBJECT = "trades:binance:BTC-USDT"


@pytest.fixture
def patient() -> StreamSettings:
    return StreamSettings(max_connections_per_key=10_000)


@pytest.fixture
def forgetful() -> StreamSettings:
    """Keeps nothing in memory: every resume reads the log."""
    return StreamSettings(max_connections_per_key=10_000, recent_bytes=0)


@pytest.mark.parametrize("recent_bytes", [0, 20_000, 64 << 20])
async def test_a_thousand_random_disconnects_leave_no_gap_and_no_repeat(edge_with, recent_bytes):
    """Whatever the moment of the break, the next connection goes on with the next trade, be it from
    the log, from memory, or from one and then the other.
    """
    chance = random.Random(7)
    settings = StreamSettings(max_connections_per_key=10_000, recent_bytes=recent_bytes)
    async with edge_with(settings) as edge:
        followers = [Follower(edge) for _ in range(5)]
        published = 1
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 1))
        for follower in followers:
            await follower.connect()
        for _ in range(200):
            count = chance.randint(1, 4)
            await publish(edge.bus, MARKET_TRADES_V1, trade_batch(published + 1, count))
            published += count
            for _ in range(chance.randint(0, 3)):
                await asyncio.sleep(0)
            for follower in followers:
                follower.disconnect(keep=chance.choice([None, 0, 1, 2, 3]))
                await follower.connect(by_token=chance.random() < 0.5)
        for follower in followers:
            await follower.catch_up_to(published)
            follower.disconnect()
            ids = [int(message["data"]["id"]) for message in follower.heard]
            assert ids == list(range(ids[0], published + 1))
            seqs = [message["seq"] for message in follower.heard]
            assert [message["prev_seq"] for message in follower.heard][1:] == seqs[:-1]


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    plan=st.lists(
        st.tuples(st.integers(1, 5), st.integers(0, 4), st.booleans()), min_size=1, max_size=12
    )
)
def test_resume_survives_writers_that_hand_over(plan):
    """Trades that two writers of a hand-over both wrote are heard once, resumed or not."""
    asyncio.run(_hand_over(plan))


async def _hand_over(plan: list[tuple[int, int, bool]]) -> None:
    async with open_streams(StreamSettings(max_connections_per_key=1000)) as edge:
        follower, published, epoch = Follower(edge), 1, 1
        await follower.connect()
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 1))
        await follower.catch_up_to(1)
        for count, repeats, breaks in plan:
            first = max(1, published + 1 - repeats)
            epoch += repeats > 0
            batch = trade_batch(first, published + count - first + 1, writer_epoch=epoch)
            await publish(edge.bus, MARKET_TRADES_V1, batch)
            published += count
            if breaks:
                await asyncio.sleep(0)
                follower.disconnect()
                await follower.connect()
        await follower.catch_up_to(published)
        follower.disconnect()
        assert [int(m["data"]["id"]) for m in follower.heard] == list(range(1, published + 1))


@pytest.mark.parametrize(
    ("epoch", "seq", "reason"),
    [
        ("other", 1024, "other_epoch"),
        (None, 5, "unknown_position"),
        (None, 1 << 40, "unknown_position"),
    ],
)
async def test_positions_that_were_never_given_start_anew(edge_with, patient, epoch, seq, reason):
    """A position of another epoch or out of thin air is told so, with a snapshot."""
    async with edge_with(patient) as edge:
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 3), trade_batch(4, 3))
        await eventually(lambda: _last_seq(edge) == (1 << 10) + 2)
        follower = Follower(edge)
        real = next(iter(edge.streams.hub.wanted("trades")), None)
        assert real is None
        known = edge.streams.reference.epochs[MARKET_TRADES_V1.name]
        follower.heard = [{"epoch": epoch or known, "seq": seq}]
        await follower.connect()
        await eventually(lambda: bool(follower.pipe.of("snapshot")), every_s=0)
        (resumed,) = follower.pipe.of("resumed")
        assert (resumed["recovered"], resumed["reason"]) == (False, reason)
        assert [row["id"] for row in follower.pipe.of("snapshot")[0]["data"]][-1] == "6"


async def test_a_position_that_the_log_has_dropped_starts_anew(forgetful):
    """What retention took is not silently left out."""
    bus = await make_bus(MemoryBus(max_records_per_partition=20))
    async with open_streams(forgetful, bus=bus) as edge:
        follower = Follower(edge)
        await follower.connect()
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 1))
        await follower.catch_up_to(1)
        follower.disconnect()
        for number in range(2, 60):
            await publish(edge.bus, MARKET_TRADES_V1, trade_batch(number, 1))
            await asyncio.sleep(0)
        answer = await follower.connect()
        assert answer["subscriptions"][0]["recovered"] is False
        assert follower.pipe.of("resumed")[0]["reason"] == "no_longer_kept"


async def test_conflating_channels_start_anew_with_a_snapshot(edge_with, patient):
    """Books and tickers only re-snapshot."""
    async with edge_with(patient) as edge:
        follower = Follower(edge, "books:binance:BTC-USDT")
        follower.heard = [{"epoch": "any", "seq": 1}]
        answer = await follower.connect()
        assert answer["subscriptions"][0]["recovered"] is False
        await eventually(lambda: bool(follower.pipe.of("snapshot")), every_s=0)


async def test_two_pods_and_a_restarted_one_number_messages_alike(edge_with, patient, bus):
    """seq and prev_seq are the same wherever and whenever a pod began to read."""
    await publish(bus, MARKET_TRADES_V1, *(trade_batch(n, 2) for n in range(1, 9, 2)))
    async with edge_with(patient) as old:
        first = Follower(old)
        await first.connect()
        await publish(bus, MARKET_TRADES_V1, *(trade_batch(n, 2) for n in range(9, 13, 2)))
        await first.catch_up_to(12)
        async with edge_with(patient) as young:
            second = Follower(young)
            second.heard = [first.pipe.of("trade")[0]]
            await second.connect()
            await publish(bus, MARKET_TRADES_V1, trade_batch(13, 2))
            await first.catch_up_to(14)
            await second.catch_up_to(14)
            assert second.pipe.of("trade") == first.pipe.of("trade")[1:]


def _last_seq(edge):
    return edge.streams.hub.subject(SubjectKey(*SUBJECT.split(":"))).last_seq
