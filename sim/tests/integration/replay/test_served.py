"""Captures over real sockets."""

import asyncio
import json
import time
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from teleglas_sim.replay import MAX_SPEED, Replay, ReplayOptions
from teleglas_sim.replay.capture_writer import CaptureWriter
from teleglas_sim.replay.loading import load
from teleglas_sim.replay.okx_book import checksum
from teleglas_sim.replay.reader import read_capture
from teleglas_sim.replay.record_plan import plan
from teleglas_sim.replay.recorder import Recorder, RecorderOptions
from teleglas_sim.replay.records import Kind
from teleglas_sim.replay.testing import Client
from teleglas_sim.replay.timeline import Timeline

pytestmark = pytest.mark.realdata

_AIM_FRAMES_PER_S = 30_000


def replay_of(files: list[Path], wait_for: int, **options: Any) -> Replay:
    chosen = ReplayOptions(speed=MAX_SPEED, wait_for=wait_for, snapshot_hold_s=0.0, **options)
    return Replay(load(files), chosen)


def subscribe(client: Client, names: list[str]) -> None:
    client.say({"method": "SUBSCRIBE", "params": names, "id": 1})


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.json()


async def test_maximum_speed_sends_every_frame_byte_for_byte(
    spot_files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two days and two instruments arrive as one stream, faster than anything behind could read."""
    replay = replay_of(spot_files, wait_for=6)
    await replay.start()
    server = replay.servers["binance"]
    client = await Client.connect(f"{server.ws_url}/stream")
    started = time.perf_counter()
    subscribe(client, [stream.name for stream in replay.timeline.streams])
    messages = await client.until(replay.timeline.total + 1)
    rate = replay.timeline.total / (time.perf_counter() - started)
    assert messages[0] == b'{"result":null,"id":1}'
    assert messages[1:] == replay.timeline.frames(0, replay.timeline.total)
    status = await get(f"{server.rest_url}/replay/status")
    assert (status["drained"], status["sent"]) == (True, replay.timeline.total)
    assert {s["stream"]: s["sent"] for s in status["streams"]}["btcusdt@trade"] == 19_904
    await replay.stop()
    with capsys.disabled():
        print(f"\n  replay at maximum speed: {rate:,.0f} frames/s, client included")  # noqa: T201
    assert rate > _AIM_FRAMES_PER_S


async def test_usdm_serves_the_present_stream_name_on_its_path(usdm_files: list[Path]) -> None:
    """Only the envelope's name changes; on the wrong path the same name stays silent."""
    replay = replay_of(usdm_files, wait_for=1)
    await replay.start()
    server = replay.servers["binance-usdm"]
    wrong = await Client.connect(f"{server.ws_url}/market/stream")
    subscribe(wrong, ["btcusdt@depth@100ms"])
    await wrong.until(1)
    right = await Client.connect(f"{server.ws_url}/public/stream")
    subscribe(right, ["btcusdt@depth@100ms"])
    depth = [s.name for s in replay.timeline.streams].index("btcusdt@depth@0ms")
    frames = [replay.timeline.frame(p) for p in replay.timeline.positions[depth]]
    messages = await right.until(len(frames) + 1)
    renamed = [frame.replace(b"@depth@0ms", b"@depth@100ms", 1) for frame in frames]
    assert messages[1:] == renamed
    assert len(wrong.messages) == 1
    await replay.stop()


async def test_a_lost_client_finds_its_trades_by_stream_and_rest(spot_files: list[Path]) -> None:
    """Pausing play, present position and trades by id leave no hole and no repeat."""
    replay = replay_of(spot_files, wait_for=1, pause_when_alone=True)
    await replay.start()
    server = replay.servers["binance"]
    first = await Client.connect(f"{server.ws_url}/stream")
    subscribe(first, ["btcusdt@trade"])
    heard = [json.loads(m)["data"]["t"] for m in (await first.until(3_000))[1:]]
    first.lose()
    second = await Client.connect(f"{server.ws_url}/stream")
    subscribe(second, ["btcusdt@trade"])
    (_, resumed) = await second.until(2)
    next_id = json.loads(resumed)["data"]["t"]
    missed: list[int] = []
    while (last := (missed or heard)[-1]) < next_id - 1:
        url = f"{server.rest_url}/api/v3/historicalTrades?symbol=BTCUSDT&fromId={last + 1}"
        page = [trade["id"] for trade in await get(f"{url}&limit=1000")]
        missed += [trade_id for trade_id in page if trade_id < next_id]
    await replay.drained()
    remaining = 3_735_703_162 - next_id + 2
    rest = [json.loads(m)["data"]["t"] for m in (await second.until(remaining))[1:]]
    assert [*heard, *missed, *rest] == list(range(3_735_683_259, 3_735_703_163))
    await replay.stop()


async def test_okx_serves_its_channels_and_opens_books_at_the_position(
    okx_files: list[Path], okx_timeline: Timeline
) -> None:
    """A late subscriber to `books` gets a snapshot whose checksum is its own."""
    replay = replay_of(okx_files, wait_for=9)
    await replay.start()
    server = replay.servers["okx"]
    client = await Client.connect(f"{server.ws_url}/ws/v5/public")
    args = [
        dict(zip(("channel", "instId"), s.name.split(":"), strict=True))
        for s in okx_timeline.streams
    ]
    client.say({"op": "subscribe", "args": args})
    messages = await client.until(okx_timeline.total + len(args))
    frames = [message for message in messages if b'"event"' not in message]
    assert frames == okx_timeline.frames(0, okx_timeline.total)
    late = await Client.connect(f"{server.ws_url}/ws/v5/public")
    late.say({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]})
    _, opening = await late.until(2)
    (book,) = json.loads(opening)["data"]
    assert json.loads(opening)["action"] == "snapshot"
    assert book["checksum"] == checksum(book["bids"], book["asks"])
    swaps = await get(f"{server.rest_url}/api/v5/public/instruments?instType=SWAP")
    assert [(s["instId"], s["ctVal"], s["lever"]) for s in swaps["data"]] == [
        ("UNI-USD-SWAP", "10", "75")
    ], "expected the recorded entries of the capture's own instruments"
    rest = await get(f"{server.rest_url}/api/v5/market/books?instId=BTC-USDT&sz=400")
    assert rest["data"][0]["bids"] == book["bids"]
    await replay.stop()


async def test_a_recording_of_a_replay_holds_the_same_frames(
    usdm_files: list[Path], tmp_path: Path
) -> None:
    """Record and replay are each other's inverse."""
    replay = replay_of(usdm_files, wait_for=3)
    await replay.start()
    server = replay.servers["binance-usdm"]
    writer = CaptureWriter(tmp_path, "usdm", rotate_bytes=4 << 20)
    clock = count(1_721_347_020_000_000_000)
    recorder = Recorder(
        RecorderOptions("binance-usdm", server.ws_url, server.rest_url),
        plan("binance-usdm", [stream.name for stream in replay.timeline.streams]),
        writer,
        lambda: next(clock),
    )
    recording = asyncio.create_task(recorder.run())
    await replay.drained()
    async with asyncio.timeout(30):
        while recorder.frames < replay.timeline.total:  # noqa: ASYNC110 - a counter, no event
            await asyncio.sleep(0)
    recording.cancel()
    await asyncio.wait([recording])
    recorded = [record for path in writer.paths for record in read_capture(path)]
    recorded.sort(key=lambda record: record.ts_recv)
    frames = [record.payload for record in recorded if record.kind is Kind.FRAME]
    assert frames == replay.timeline.frames(0, replay.timeline.total)
    assert len(writer.paths) > 1
    with load(writer.paths) as again:
        assert {answer.path for answer in again.answers} == {
            "/fapi/v1/depth",
            "/fapi/v1/exchangeInfo",
        }
        assert again.venues() == ["binance-usdm"]
    await replay.stop()


async def test_recorded_speed_keeps_the_recorded_distances(okx_files: list[Path]) -> None:
    """Ten seconds of OKX at 20 times the speed take half a second."""
    replay = Replay(load(okx_files), ReplayOptions(speed=20.0, wait_for=1))
    await replay.start()
    client = await Client.connect(f"{replay.servers['okx'].ws_url}/ws/v5/public")
    started = time.perf_counter()
    client.say({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]})
    await replay.drained()
    took_s = time.perf_counter() - started
    recorded_s = (replay.timeline.ts_recv[-1] - replay.timeline.ts_recv[0]) / 1e9
    assert recorded_s / 20 <= took_s < recorded_s / 20 + 1.0
    await replay.stop()
