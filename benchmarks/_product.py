"""The running product as a benchmark sees it: rates from its own metrics, CPU from the system."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from teleglas_cli.up.options import Options
from teleglas_cli.up.product import Product

__all__ = ["cpu_seconds", "running_product", "scrape"]

SCRAPE_TIMEOUT_S = 10.0


@asynccontextmanager
async def running_product(
    rate: int,
    *,
    seed: int = 11,
    only_spine: bool = True,
    extra_env: tuple[tuple[str, str], ...] = (),
) -> AsyncIterator[Product]:
    """The product on the simulator, in a folder of its own: the way of a trade to its candle, or
    all of it.
    """
    with tempfile.TemporaryDirectory(prefix="teleglas-bench-") as folder:
        options = Options(
            state_dir=Path(folder) / "simulator",
            rate=rate,
            seed=seed,
            only_spine=only_spine,
            extra_env=extra_env,
        )
        product = Product(options, lambda text: print(f"  {text}"))
        await product.start()
        try:
            yield product
        finally:
            await product.stop()


async def scrape(product: Product, service: str) -> dict[str, float]:
    """Every metric of a service, summed over its labels."""
    url = f"{product.layout.http[service]}/metrics"
    timeout = aiohttp.ClientTimeout(total=SCRAPE_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
        text = await response.text()
    found: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] += sample.value
    return found


async def cpu_seconds(product: Product) -> dict[str, float]:
    """CPU time so far of each process with its children."""
    return await asyncio.to_thread(
        lambda: {process.name: _cpu(process.pid) for process in product.everything()}
    )


def _cpu(pid: int | None) -> float:
    if pid is None:
        return 0.0
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in members)
    except psutil.NoSuchProcess:
        return 0.0
