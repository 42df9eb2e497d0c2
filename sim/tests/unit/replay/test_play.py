"""When frames go out: start, back-pressure, lost clients, end."""

import asyncio

import pytest

from teleglas_sim.replay.loading import load
from teleglas_sim.replay.pace import MAX_SPEED
from teleglas_sim.replay.service import Replay, ReplayOptions
from teleglas_sim.replay.testing import CaptureMaker, spot_diff, spot_snapshot, spot_trade
from teleglas_sim.server import Frame

_FRAMES = 2_000


class Client:
    """A sink that takes frames until its room is used up."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.closed = False
        self.frames: list[Frame] = []
        self._room = room
        self._has_room = asyncio.Event()
        self._has_room.set()

    def send(self, frame: Frame) -> None:
        if self.closed:
            return
        self.frames.append(frame)
        if len(self.frames) >= self._room:
            self._has_room.clear()

    async def drain(self) -> None:
        await asyncio.sleep(0)
        if not self.closed:
            await self._has_room.wait()

    def make_room(self) -> None:
        self._room = 1 << 30
        self._has_room.set()

    def lose(self) -> None:
        self.closed = True
        self._has_room.set()


@pytest.fixture
def replay(captures: CaptureMaker) -> Replay:
    path = captures.write("spot.gz", [spot_trade(i) for i in range(_FRAMES)])
    options = ReplayOptions(speed=MAX_SPEED, wait_for=1, pause_when_alone=True)
    return Replay(load([path]), options)


async def _turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nothing_plays_before_the_audience_is_there(replay: Replay) -> None:
    """The first frame waits for the first subscription."""
    running = asyncio.create_task(replay.play.run())
    await _turns()
    assert replay.status().state == "waiting"
    client = Client()
    await replay.servers["binance"].feed.subscribe("btcusdt@trade", client)
    await running
    assert len(client.frames) == _FRAMES
    assert replay.status().drained


async def test_a_slow_client_holds_the_play_and_loses_nothing(replay: Replay) -> None:
    """Back-pressure, not dropping, sets the maximum speed."""
    feed = replay.servers["binance"].feed
    slow, fast = Client(room=100), Client()
    await feed.subscribe("btcusdt@trade", slow)
    await feed.subscribe("btcusdt@trade", fast)
    running = asyncio.create_task(replay.play.run())
    await _turns()
    held = replay.status().position
    await _turns()
    assert replay.status().position == held < _FRAMES
    slow.make_room()
    await running
    assert [f.payload for f in slow.frames] == [f.payload for f in fast.frames]
    assert len(slow.frames) == _FRAMES


async def test_the_play_pauses_for_a_lost_client_and_goes_on_where_it_was(replay: Replay) -> None:
    """Frames behind the position are not sent again, those before it are not lost."""
    feed = replay.servers["binance"].feed
    first = Client(room=100)
    await feed.subscribe("btcusdt@trade", first)
    running = asyncio.create_task(replay.play.run())
    await _turns()
    first.lose()
    await feed.unsubscribe("btcusdt@trade", first)
    await _turns()
    status = replay.status()
    assert (status.state, status.position) == ("paused", len(first.frames))
    second = Client()
    await feed.subscribe("btcusdt@trade", second)
    await running
    assert len(first.frames) + len(second.frames) == _FRAMES


async def test_an_unsubscription_does_not_pause(replay: Replay) -> None:
    """Who asks for less gets less; only a lost connection holds the play."""
    feed = replay.servers["binance"].feed
    client = Client(room=100)
    await feed.subscribe("btcusdt@trade", client)
    running = asyncio.create_task(replay.play.run())
    await _turns()
    await feed.unsubscribe("btcusdt@trade", client)
    client.make_room()
    await running
    status = replay.status()
    assert status.drained
    assert status.sent == len(client.frames) < _FRAMES
    assert status.streams[0].played == _FRAMES


async def test_a_new_book_holds_the_maximum_speed_until_its_snapshot(
    captures: CaptureMaker,
) -> None:
    """The call takes no frames: the snapshot is of the first diff's position."""
    diffs = [spot_diff(i, i) for i in range(3, 500)]
    path = captures.write("spot.gz", [spot_snapshot(2, "[]", "[]"), *diffs])
    replay = Replay(load([path]), ReplayOptions(speed=MAX_SPEED, wait_for=1))
    feed = replay.servers["binance"].feed
    client = Client()
    await feed.subscribe("btcusdt@depth@100ms", client)
    running = asyncio.create_task(replay.play.run())
    await _turns()
    assert len(client.frames) == 1
    answer = await feed.rest("/api/v3/depth", {"symbol": "BTCUSDT"})
    assert answer.body.startswith(b'{"lastUpdateId":3')
    await running
    assert len(client.frames) == len(diffs)


async def test_a_client_that_never_asks_for_the_snapshot_holds_the_play_only_so_long(
    captures: CaptureMaker,
) -> None:
    """The hold is bounded."""
    path = captures.write("spot.gz", [spot_diff(i, i) for i in range(1, 500)])
    options = ReplayOptions(speed=MAX_SPEED, wait_for=1, snapshot_hold_s=0.01)
    replay = Replay(load([path]), options)
    client = Client()
    await replay.servers["binance"].feed.subscribe("btcusdt@depth@100ms", client)
    await replay.play.run()
    assert len(client.frames) == 499
