"""Resume from the log while it is away: every client is answered, none waits for ever."""

from __future__ import annotations

from teleglas_common.bus.memory import MemoryBus, MemoryReader
from teleglas_common.bus.ports import BusError
from teleglas_common.testing import eventually
from teleglas_contracts.topics import MARKET_TRADES_V1
from teleglas_gateway.domain.positions import SubjectKey, parse_subject
from teleglas_gateway.stream.catchup import CatchUpLimits
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.testing import publish, trade_batch
from teleglas_gateway.testing.edge import make_bus, open_streams
from teleglas_gateway.testing.follower import Follower

SETTINGS = StreamSettings(recent_bytes=0, catch_up=CatchUpLimits(back_offs_s=(0.0, 0.0)))


class FaultyBus(MemoryBus):
    """Gives readers that break at their second poll, as long as `faults` holds errors."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[Exception] = []
        self.begins_fault: Exception | None = None
        self.asked_begins = 0

    async def begins(self, topics):
        self.asked_begins += 1
        if self.begins_fault is not None:
            raise self.begins_fault
        return await super().begins(topics)

    def reader(self, positions, *, follows=False):
        reader = super().reader(positions, follows=follows)
        return FaultyReader(reader, self.faults.pop(0)) if self.faults else reader


class FaultyReader:
    def __init__(self, inner: MemoryReader, fault: Exception) -> None:
        self._inner = inner
        self._fault = fault
        self._polls = 0
        self.start, self.stop, self.seek = inner.start, inner.stop, inner.seek

    async def poll(self, *, max_records, timeout_s):  # noqa: ARG002
        self._polls += 1
        if self._polls > 1:
            raise self._fault
        return await self._inner.poll(max_records=2, timeout_s=timeout_s)


async def behind(edge, follower: Follower) -> None:
    """Let a follower hear trade 1, then miss trades 2 to 9."""
    await follower.connect()
    await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 1))
    await follower.catch_up_to(1)
    follower.disconnect()
    await publish(edge.bus, MARKET_TRADES_V1, *(trade_batch(n, 1) for n in range(2, 10)))
    await eventually(lambda: edge.streams.hub.subject(_key(follower)).last_seq == 8 << 10)


def _key(follower: Follower) -> SubjectKey:
    return parse_subject(follower.subject)


async def test_a_resume_goes_on_after_the_log_was_away_for_a_moment():
    """What was replayed before the fault is not heard again, and nothing is left out."""
    bus = FaultyBus()
    async with open_streams(SETTINGS, bus=await make_bus(bus)) as edge:
        follower = Follower(edge)
        await behind(edge, follower)
        bus.faults += [BusError("away"), BusError("away")]
        await follower.connect()
        await follower.catch_up_to(9)
        await eventually(lambda: bool(follower.pipe.of("resumed")), every_s=0)
        assert follower.pipe.of("resumed")[0]["recovered"] is True
        follower.disconnect()
        assert [int(message["data"]["id"]) for message in follower.heard] == list(range(1, 10))


async def test_a_resume_starts_anew_while_the_log_stays_away():
    """After the last try the client is told so, gets a snapshot and hears what comes."""
    bus = FaultyBus()
    async with open_streams(SETTINGS, bus=await make_bus(bus)) as edge:
        follower = Follower(edge)
        await behind(edge, follower)
        bus.faults += [BusError("away")] * 3
        await follower.connect()
        await eventually(lambda: bool(follower.pipe.of("snapshot")), every_s=0)
        (resumed,) = follower.pipe.of("resumed")
        assert (resumed["recovered"], resumed["reason"]) == (False, "unavailable")
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(10, 1))
        await follower.catch_up_to(10)


async def test_an_unforeseen_fault_closes_with_where_to_resume():
    """The client is closed with a token by which another connection misses nothing."""
    bus = FaultyBus()
    async with open_streams(SETTINGS, bus=await make_bus(bus)) as edge:
        follower = Follower(edge)
        await behind(edge, follower)
        bus.faults.append(ValueError("a fault of ours"))
        await follower.connect()
        await eventually(lambda: follower.pipe.closed, every_s=0)
        (closing,) = follower.pipe.of("closing")
        assert closing["code"] == "internal"
        assert closing["resume"]
        follower.disconnect()
        await follower.connect()
        await follower.catch_up_to(9)
        follower.disconnect()
        assert [int(message["data"]["id"]) for message in follower.heard] == list(range(1, 10))


async def test_a_thousand_resumes_ask_the_log_once_where_it_begins():
    """One frame with many positions, or many clients at once, cost the log a single question."""
    bus = FaultyBus()
    async with open_streams(SETTINGS, bus=await make_bus(bus)) as edge:
        followers = [Follower(edge) for _ in range(20)]
        for follower in followers:
            await follower.connect()
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(1, 1))
        for follower in followers:
            await follower.catch_up_to(1)
            follower.disconnect()
        await publish(edge.bus, MARKET_TRADES_V1, trade_batch(2, 1))
        await eventually(lambda: edge.streams.hub.subject(_key(followers[0])).last_seq == 1 << 10)
        bus.asked_begins = 0
        for follower in followers:
            await follower.connect()
            await follower.catch_up_to(2)
        assert bus.asked_begins == 1


async def test_a_resume_starts_anew_if_the_log_does_not_say_where_it_begins():
    """The client keeps its connection and is told that its past cannot be had now."""
    bus = FaultyBus()
    async with open_streams(SETTINGS, bus=await make_bus(bus)) as edge:
        follower = Follower(edge)
        await behind(edge, follower)
        bus.begins_fault = BusError("away")
        answer = await follower.connect()
        assert answer["subscriptions"][0]["recovered"] is False
        assert follower.pipe.of("resumed")[0]["reason"] == "unavailable"
        assert not follower.pipe.closed


async def test_a_repeat_of_long_ago_is_left_out_of_a_replay_as_it_is_live():
    """A replay reads back as far as the hub did: it knows what the hub knows to be a repeat."""
    async with open_streams(SETTINGS, bus=await make_bus()) as edge:
        follower = Follower(edge)
        await follower.connect()
        await publish(edge.bus, MARKET_TRADES_V1, *(trade_batch(n, 1) for n in range(1, 401)))
        await follower.catch_up_to(400)
        follower.disconnect()
        repeat, fresh = trade_batch(1, 1, writer_epoch=2), trade_batch(401, 1, writer_epoch=2)
        await publish(edge.bus, MARKET_TRADES_V1, repeat, fresh)
        await eventually(
            lambda: edge.streams.hub.subject(_key(follower)).last_seq == 401 << 10, every_s=0
        )
        await follower.connect()
        await follower.catch_up_to(401)
        follower.disconnect()
        ids = [int(message["data"]["id"]) for message in follower.heard]
        assert ids == list(range(1, 402))
