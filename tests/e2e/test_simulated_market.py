"""`teleglas up` as a person runs it, on the simulated market."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from teleglas_cli.running import NotRunningError, Running
from teleglas_cli.stack.ports import free_ports
from teleglas_cli.up.first_candle import first_candle
from teleglas_common.testing import eventually
from teleglas_contracts import topics

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FOR_S = 60
FIRST_CANDLE_S = 55
"""Under 20 s on a machine of its own; tests share theirs."""
FLOWING = (
    topics.MARKET_INSTRUMENTS_V1,
    topics.MARKET_TRADES_V1,
    topics.MARKET_BOOKS_V1,
    topics.MARKET_TICKERS_V1,
    topics.MARKET_CANDLES_V1,
    topics.MARKET_SUMMARIES_V1,
    topics.CONTROL_TOPICS_V1,
)
ANSWERS = (
    "/v1/markets",
    "/v1/tickers",
    "/v1/candles?symbol=BTC-USDT&venue=binance&interval=1s",
    "/v1/trades?symbol=BTC-USDT&venue=binance",
    "/v1/book?symbol=BTC-USDT&venue=binance",
    "/gpt/raw?symbol=BTC",
    "/health",
    "/ready",
    "/metrics",
    "/ws/health",
)


@asynccontextmanager
async def up(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`teleglas up` with a state folder of its own."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder)}
    command = [sys.executable, "-m", "teleglas_cli.main", "up"]
    command += ["--port", str(free_ports(1)[0]), *arguments]
    with (folder / "up.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        print((folder / "up.log").read_text()[-4_000:])  # noqa: T201


async def running_in(folder: Path, process: asyncio.subprocess.Process) -> Running:
    """Its addresses, as soon as it says that it runs."""

    def look() -> Running:
        assert process.returncode is None, "expected it to run, it has ended"
        try:
            return Running.read(folder / "teleglas")
        except NotRunningError as error:
            raise AssertionError(str(error)) from error

    return await eventually(look, timeout_s=60, every_s=0.1)


def ports_of(running: Running) -> set[int]:
    urls = [running.gateway_url, running.postgres_dsn, running.redis_url]
    urls += [*running.services.values(), *running.venues.values()]
    urls += [f"tcp://{running.kafka_bootstrap}", running.chat_url]
    urls += [f"tcp://{target}" for target in running.grpc.values()]
    return {port for url in urls if (port := urlsplit(url).port)}


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assert_nothing_left(children: list[psutil.Process], ports: set[int]) -> None:
    alive = [child for child in children if child.is_running() and child.status() != "zombie"]
    assert not alive, f"expected no process, left: {alive}"
    assert not [port for port in ports if listens(port)]


async def test_up_for_a_time_shows_a_market_and_leaves_nothing(tmp_path, record_property):
    """A candle streams, REST answers, every topic flows, the summary is whole, nothing is left."""
    summary = tmp_path / "summary.json"
    async with up(tmp_path, "--for", str(FOR_S), "--summary", str(summary)) as process:
        running = await running_in(tmp_path, process)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 7
        async with asyncio.timeout(FIRST_CANDLE_S):
            await first_candle(running, "binance", "BTC-USDT")
        await assert_answers(running)
        code = await asyncio.wait_for(process.wait(), 120)
    said = json.loads(summary.read_text())
    print(json.dumps(said, indent=1))  # noqa: T201
    assert code == 0, said["errors"]
    assert not said["errors"]
    assert said["first_stream_candle_s"] < FIRST_CANDLE_S
    assert said["peak_rss_mb"] < 1_300
    assert all(said["records"][topic.name] > 0 for topic in FLOWING)
    assert {market.partition(":")[0] for market in said["trades"]} == {
        "binance",
        "binance-usdm",
        "okx",
    }
    assert all(count > 0 for count in said["trades"].values())
    assert said["candles"]["1s"] > 10
    assert said["dead_letters"] == 0
    assert said["gaps"] == 0
    assert_nothing_left(children, ports_of(running))
    record_property("first_stream_candle_s", said["first_stream_candle_s"])
    record_property("peak_rss_mb", said["peak_rss_mb"])


async def assert_answers(running: Running) -> None:
    """Every kind of REST question gets its answer."""
    headers = {"Authorization": f"Bearer {running.demo_key}"}
    async with aiohttp.ClientSession(running.gateway_url, headers=headers) as http:

        async def ask(path: str) -> None:
            async with http.get(path) as response:
                text = await response.text()
                assert response.status == 200, f"{path}: {response.status} {text[:300]}"
                assert len(text) > 10

        for path in ANSWERS:
            await eventually(partial(ask, path), timeout_s=15, every_s=0.2)
        async with http.get("/v1/trades?symbol=BTC-USDT&venue=binance") as response:
            page = await response.json()
        assert page["data"], "expected trades"
        assert re.fullmatch(r"\d+(\.\d+)?", page["data"][0]["price"])
    async with (
        aiohttp.ClientSession(running.gateway_url) as anonymous,
        anonymous.get("/v1/tickers") as response,
    ):
        assert response.status == 401
        assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("after", ["start", "candle"])
async def test_an_interrupt_at_any_time_leaves_no_process_and_no_port(tmp_path, after):
    """Ctrl-C while parts are still starting, or in full flow, ends everything."""
    async with up(tmp_path) as process:
        root = psutil.Process(process.pid)
        if after == "start":
            await eventually(lambda: len(root.children(recursive=True)) >= 3, timeout_s=30)
            ports: set[int] = set()
        else:
            running = await running_in(tmp_path, process)
            ports = ports_of(running)
            await asyncio.wait_for(first_candle(running, "binance", "BTC-USDT"), 30)
        children = root.children(recursive=True)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 60)
        print(f"ended in {time.monotonic() - began:.1f} s")  # noqa: T201
    assert_nothing_left(children, ports)
