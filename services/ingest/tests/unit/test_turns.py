"""Frames come in floods; what else the loop has to do must not wait for their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picows import WSListener, WSMsgType, WSTransport, ws_create_server

from teleglas_common.testing import eventually
from teleglas_ingest.adapters.turns import FRAMES_A_TURN, Turns
from teleglas_ingest.adapters.websocket import PicowsDialer

FLOOD = 3_000


class Reader:
    """Stands for the socket: whether it is read, and whether it was broken off."""

    def __init__(self) -> None:
        self.reads = True
        self.broken = False
        self.turns = Turns(self.read, self.broke)

    def read(self, go_on: bool) -> None:
        self.reads = go_on

    def broke(self) -> None:
        self.broken = True


async def turns_until(done: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if done():
            return
        await asyncio.sleep(0)
    raise AssertionError("expected an end within 1,000 turns")


async def test_few_frames_are_handled_at_once():
    reader = Reader()
    handled: list[bytes] = []
    for number in range(FRAMES_A_TURN):
        reader.turns.take(handled.append, b"%d" % number)
    assert len(handled) == FRAMES_A_TURN
    assert reader.reads


async def test_a_flood_is_cut_into_turns_and_held_at_the_socket():
    reader = Reader()
    handled: list[bytes] = []
    for number in range(FLOOD):
        reader.turns.take(handled.append, b"%d" % number)
    assert len(handled) == FRAMES_A_TURN
    assert not reader.reads
    grown = [len(handled)]
    while len(handled) < FLOOD:
        await asyncio.sleep(0)
        grown.append(len(handled))
    assert max(after - before for before, after in pairwise(grown)) <= FRAMES_A_TURN
    assert handled == [b"%d" % number for number in range(FLOOD)]
    assert reader.reads


@given(st.lists(st.sampled_from(["frame", "pong", "turn", "press", "release"]), max_size=400))
def test_order_is_kept_and_nothing_is_lost(script):
    async def play() -> None:
        reader = Reader()
        handled: list[int] = []
        sent: list[int] = []
        for number, what in enumerate(script * 3):
            if what == "frame":
                sent.append(number)
                reader.turns.take(lambda frame: handled.append(int(frame)), b"%d" % number)
            elif what == "pong":
                sent.append(number)
                reader.turns.take(lambda number=number: handled.append(number))
            elif what == "turn":
                await asyncio.sleep(0)
            else:
                reader.turns.press(what == "press")
        reader.turns.press(False)
        await reader.turns.over()
        await turns_until(lambda: reader.reads)
        assert handled == sent

    asyncio.run(play())


async def test_nothing_is_handed_on_under_pressure():
    reader = Reader()
    handled: list[bytes] = []
    reader.turns.press(True)
    reader.turns.take(handled.append, b"one")
    await asyncio.sleep(0.01)
    assert not handled
    assert not reader.reads
    reader.turns.press(False)
    await reader.turns.over()
    assert handled == [b"one"]
    assert reader.reads


async def test_what_a_handler_raises_breaks_the_connection_off():
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    reader = Reader()

    def refuses(frame: bytes) -> None:
        raise ValueError(frame)

    for number in range(FRAMES_A_TURN):
        reader.turns.take(lambda _: None, b"%d" % number)
    reader.turns.take(refuses, b"late")
    await reader.turns.over()
    assert reader.broken
    assert len(raised) == 1


async def test_a_drop_forgets_what_waits_and_ends_the_wait():
    reader = Reader()
    handled: list[bytes] = []
    for number in range(2 * FRAMES_A_TURN):
        reader.turns.take(handled.append, b"%d" % number)
    waiting = asyncio.ensure_future(reader.turns.over())
    reader.turns.drop()
    await asyncio.wait_for(waiting, 1)
    await asyncio.sleep(0.01)
    assert len(handled) == FRAMES_A_TURN


class Flooding(WSListener):
    """A venue that sends all it has, then closes."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        for number in range(FLOOD):
            transport.send(WSMsgType.TEXT, b"%d" % number + b" " * 2_000)
        transport.send_close()


@pytest.mark.timeout(60)
async def test_a_venue_that_floods_leaves_turns_to_others_and_all_its_frames_come():
    """6 MB in one go: the library reads megabytes at once."""
    server = await ws_create_server(lambda _: Flooding(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    handled: list[int] = []
    most = turn_began = 0

    def take(frame: bytes) -> None:
        nonlocal most
        handled.append(int(frame))
        most = max(most, len(handled) - turn_began)

    async def others() -> None:
        nonlocal turn_began
        while True:
            turn_began = len(handled)
            await asyncio.sleep(0)

    working = asyncio.create_task(others())
    socket = await PicowsDialer().dial(f"ws://127.0.0.1:{port}/", take, lambda: None)
    await asyncio.wait_for(socket.closed(), 30)
    assert handled == list(range(FLOOD))
    assert most <= 2 * FRAMES_A_TURN
    working.cancel()
    server.close()
    await eventually(lambda: working.cancelled())
