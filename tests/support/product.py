"""One whole product for a test: started, watched, drained."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from teleglas_cli.stack.ports import free_ports
from teleglas_cli.up.options import Options
from teleglas_cli.up.product import Product
from teleglas_cli.up.services import answers
from teleglas_cli.up.venues import capture_drained
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic

__all__ = [
    "SETTLE_TIMEOUT_S",
    "assert_caught_up",
    "connected",
    "drained",
    "held",
    "kill",
    "logs_shown",
    "rest",
    "running_product",
    "settled",
    "started",
]

SETTLE_TIMEOUT_S = 120.0
"""Of everything that waits for a part to come back or to catch up on a busy machine."""
DRAINED_AFTER_S = 4.0
"""Without a new record; a busy machine stands still for a second or two."""
READ_BY_MARKET_DATA = (
    topics.MARKET_TRADES_V1,
    topics.MARKET_BOOKS_V1,
    topics.MARKET_TICKERS_V1,
    topics.MARKET_GAPS_V1,
)


@asynccontextmanager
async def running_product(
    folder: Path, *, prepare: Callable[[Product], None] = lambda _: None, **options: Any
) -> AsyncIterator[Product]:
    """A started product below `folder`; when the test fails, the end of each log is printed.

    `prepare` changes it before it starts.
    """
    said: list[str] = []
    made = Options(state_dir=folder / "product", gateway_port=free_ports(1)[0], **options)
    product = Product(made, said.append)
    prepare(product)
    await product.start()
    try:
        with logs_shown(product, said):
            yield product
    finally:
        await product.stop()


@contextmanager
def logs_shown(product: Product, said: Iterable[str] = ()) -> Iterator[Product]:
    """Print the end of each log when what is inside fails."""
    try:
        yield product
    except BaseException:
        _show_logs(product.options.state_dir / "logs", said)
        raise


def _show_logs(logs: Path, said: Iterable[str]) -> None:
    for line in said:
        print("product:", line)  # noqa: T201  # pytest shows it beside the failure
    for log in sorted(logs.glob("*.log")):
        if log.stem not in ("kafka", "postgres", "valkey"):
            tail = log.read_text(errors="replace").splitlines()[-15:]
            print(f"--- {log.name}", *tail, sep="\n")  # noqa: T201


def started(product: Product) -> dict[str, int]:
    """Process ids by name."""
    return {
        process.name: process.pid for process in product.everything() if process.pid is not None
    }


@asynccontextmanager
async def rest(product: Product) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the gateway with the demo key."""
    headers = {"Authorization": f"Bearer {product.running.demo_key}"}
    async with aiohttp.ClientSession(product.running.gateway_url, headers=headers) as session:
        yield session


@asynccontextmanager
async def connected(product: Product) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection to the product's database."""
    connection = await asyncpg.connect(product.stack.postgres_dsn, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


async def held(product: Product, *named: Topic) -> int:
    """How many records topics hold."""
    names = [topic.name for topic in named]
    begins, ends = await product.bus.begins(names), await product.bus.ends(names)
    return sum(ends.values()) - sum(begins.values())


async def kill(product: Product, name: str) -> None:
    """SIGKILL, then wait until its supervisor has brought it back."""
    victim = product.processes[name]
    before = victim.pid
    await victim.kill9()

    async def assert_back() -> None:
        assert victim.running
        assert victim.pid != before
        assert await answers(f"{product.layout.http[name]}/ready")

    await eventually(assert_back, timeout_s=SETTLE_TIMEOUT_S, every_s=0.1)


async def assert_caught_up(product: Product) -> None:
    """market-data's checkpoints reach the end of every partition that it reads."""
    names = [topic.name for topic in READ_BY_MARKET_DATA]
    begins, ends = await product.bus.begins(names), await product.bus.ends(names)
    async with connected(product) as database:
        rows = await database.fetch("SELECT shard, offsets FROM market_data.shard_checkpoints")
    offsets = {row["shard"]: json.loads(row["offsets"]) for row in rows}
    behind = {
        partition: (offsets.get(partition.partition, {}).get(partition.topic, 0), end)
        for partition, end in ends.items()
        if end > begins[partition]
        and offsets.get(partition.partition, {}).get(partition.topic, 0) < end
    }
    assert not behind, f"expected checkpoints at the ends, were behind at {behind}"


async def settled(product: Product, timeout_s: float = SETTLE_TIMEOUT_S) -> None:
    """Stop what brings data in and wait until market-data has stored all that came."""
    await product.stop_part("ingest")
    await eventually(lambda: assert_caught_up(product), timeout_s=timeout_s, every_s=0.5)


async def drained(product: Product, timeout_s: float = 240.0) -> None:
    """Wait until a capture was sent whole and ingest has written and marked all of it."""
    await eventually(lambda: capture_drained(product.venues), timeout_s=timeout_s, every_s=0.5)
    seen = -1

    async def is_quiet() -> bool:
        nonlocal seen
        before, seen = seen, await held(product, *READ_BY_MARKET_DATA)
        return before == seen

    await eventually(is_quiet, timeout_s=60, every_s=DRAINED_AFTER_S)
