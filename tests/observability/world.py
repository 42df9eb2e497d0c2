"""A product that is used, under a real Prometheus, with all that its tests need of it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from teleglas_cli.stack.process import ManagedProcess
from teleglas_cli.streaming import open_stream, subscribe
from teleglas_cli.up.product import Product
from teleglas_common.testing import eventually
from tests.observability.stack import Prometheus, Told, Traced, alerting, scraping, tracing
from tests.support.product import rest, running_product

__all__ = ["CLEARS_S", "FIRES_S", "World", "frozen", "living", "ordered"]

FIRES_S, CLEARS_S = 90.0, 180.0
SETTINGS = (
    ("TELEGLAS_TELEMETRY__SAMPLE_RATIO", "1"),
    ("TELEGLAS_DETECTOR__MIN_OBSERVATIONS", "100"),
    ("TELEGLAS_DETECTOR__QUANTILE", "0.99"),
    ("TELEGLAS_TELEGRAM__DEFAULT_BUDGET_PER_HOUR", "10000"),
    ("TELEGLAS_DELIVERY__RETRY_MAX_S", "3"),
    ("TELEGLAS_INGEST__BACKFILL_DEADLINE_S", "8"),
    ("TELEGLAS_INGEST__STREAMS_PER_CONNECTION", "3"),
)


@dataclass(slots=True)
class World:
    product: Product
    prometheus: Prometheus
    told: Told
    traced: Traced
    models: Path
    """The registry of prediction, empty at first."""

    async def fires(self, *names: str, severity: str = "", timeout_s: float = FIRES_S) -> None:
        """All of these fire."""

        async def assert_firing() -> None:
            firing = await self.prometheus.firing()
            seen = {name for name, level, _ in firing if not severity or level == severity}
            assert seen.issuperset(names), f"expected {names}, firing: {sorted(firing)}"

        await eventually(assert_firing, timeout_s=timeout_s, every_s=0.5)

    async def clears(self, *names: str, timeout_s: float = CLEARS_S) -> None:
        """None of these fires any more, but for the burn of days, whose windows are the longest."""

        async def assert_clear() -> None:
            firing = await self.prometheus.firing()
            left = {one for one in firing if one[0] in names and one[2] not in ("1d", "3d")}
            assert not left

        await eventually(assert_clear, timeout_s=timeout_s, every_s=0.5)


@asynccontextmanager
async def living(folder: Path) -> AsyncIterator[World]:
    """All of it, until the end of the block."""
    async with AsyncExitStack() as cleanup:
        traced = await cleanup.enter_async_context(tracing(folder))
        alertmanager, told = await cleanup.enter_async_context(alerting(folder))
        product = await cleanup.enter_async_context(
            running_product(
                folder,
                rate=40,
                otlp_endpoint=traced.endpoint,
                extra_env=(*SETTINGS, ("TELEGLAS_FORECASTS__REGISTRY", str(folder / "models"))),
            )
        )
        served = {name: url.removeprefix("http://") for name, url in product.layout.http.items()}
        prometheus = await cleanup.enter_async_context(
            scraping(folder, {**served, **traced.metrics}, alertmanager)
        )
        await cleanup.enter_async_context(used(product))
        yield World(product, prometheus, told, traced, folder / "models")


@asynccontextmanager
async def used(product: Product) -> AsyncIterator[None]:
    """Clients of streams and of REST, which come back after every fault."""
    tasks = [asyncio.create_task(work(product)) for work in (streamed, asked)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def streamed(product: Product) -> None:
    running = product.running
    while True:
        with contextlib.suppress(Exception):
            async with open_stream(running.gateway_url, running.demo_key) as connection:
                market = {"venue": ["binance"]}
                for channel in ("trades", "tickers", "books", "liquidations"):
                    await subscribe(connection, channel, ["BTC-USDT"], **market)
                await subscribe(connection, "candles", ["BTC-USDT"], interval="1s", **market)
                for channel in ("whales", "signals", "predictions"):
                    await subscribe(connection, channel, ["BTC-USDT"])
                async for _ in connection:
                    pass
        await asyncio.sleep(0.5)


async def asked(product: Product) -> None:
    paths = [
        "/v1/tickers",
        "/v1/whales",
        *(f"/v1/{kind}?symbol=BTC-USDT" for kind in ("predictions", "signals")),
    ]
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with rest(product) as http:
                for path in paths:
                    async with http.get(path) as response:
                        await response.read()
                    await asyncio.sleep(0.2)
        await asyncio.sleep(0.2)


@contextlib.contextmanager
def frozen(process: ManagedProcess | None) -> Iterator[None]:
    """A process and its children do not run meanwhile: nothing answers, nothing is closed."""
    assert process is not None
    assert process.pid is not None
    root = psutil.Process(process.pid)
    members = [root, *root.children(recursive=True)]
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGCONT)


async def ordered(url: str, **wish: Any) -> None:
    async with aiohttp.ClientSession() as session, session.post(url, json=wish) as response:
        assert response.status < 300, await response.text()
