"""`teleglas replay` and `teleglas record` as processes."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from teleglas_sim.replay.reader import read_capture
from teleglas_sim.replay.records import Kind
from teleglas_sim.replay.testing import CaptureMaker, Client, spot_diff, spot_snapshot, spot_trade

_FRAMES = 500


async def command(name: str, *args: str) -> Process:
    code = f"from teleglas_cli.commands.{name} import {name}; {name}()"
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, *args, stdout=PIPE)


async def line(process: Process) -> bytes:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return await process.stdout.readline()


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    trades = [spot_trade(i) for i in range(_FRAMES)]
    diffs = [spot_diff(1, 2), spot_snapshot(2, '[["100.0","1.0"]]', '[["101.0","1.0"]]')]
    return CaptureMaker(tmp_path).write("spot_btcusdt_20240808.gz", [*diffs, *trades])


async def test_replay_ends_when_it_is_drained(capture: Path) -> None:
    """Addresses first, then progress, exit code 0 at the end."""
    process = await command(
        "replay", str(capture), "--speed=max", "--wait-for=1", "--exit-when-drained", "--json"
    )
    addresses = json.loads(await line(process))
    assert addresses["frames"] == _FRAMES + 1
    client = await Client.connect(addresses["venues"]["binance"]["ws"] + "/ws/btcusdt@trade")
    await client.until(_FRAMES)
    output, _ = await process.communicate()
    assert process.returncode == 0
    last = json.loads(output.splitlines()[-1])
    assert last == {"state": "drained", "position": 501, "total": 501, "sent": _FRAMES}


async def test_record_finishes_its_files_on_sigterm(capture: Path, tmp_path: Path) -> None:
    """What came in before the signal can be read afterwards."""
    served = await command("replay", str(capture), "--speed=max", "--wait-for=2", "--json")
    urls = json.loads(await line(served))["venues"]["binance"]
    streams = ("--stream=btcusdt@trade", "--stream=btcusdt@depth@100ms")
    out = tmp_path / "recorded"
    recording = await command(
        "record",
        "--venue=binance",
        *streams,
        f"--ws-url={urls['ws']}",
        f"--rest-url={urls['rest']}",
        f"--out={out}",
    )
    while not (await line(recording)).startswith(b"501 frames, 2 REST answers"):
        pass
    recording.send_signal(signal.SIGTERM)
    await recording.wait()
    served.send_signal(signal.SIGINT)
    await served.communicate()
    assert (recording.returncode, served.returncode) == (0, 0)
    (path,) = list(out.iterdir())
    records = list(read_capture(path))
    frames = [record.payload for record in records if record.kind is Kind.FRAME]
    answers = [record.payload for record in records if record.kind is Kind.ANSWER]
    assert len(frames) == _FRAMES + 1
    assert any(body.startswith(b'{"lastUpdateId":2') for body in answers)


async def test_replay_says_what_it_cannot_serve(tmp_path: Path) -> None:
    """A file of another kind is named, the exit code is not 0."""
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    code = "from teleglas_cli.commands.replay import replay; replay()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(path), stderr=PIPE
    )
    _, error = await process.communicate()
    assert process.returncode == 1
    assert b"notes.txt: expected '<ns> <json>'" in error
