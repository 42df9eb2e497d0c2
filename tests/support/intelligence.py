"""What the services behind market-data said about one run, and when they have said all of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import aiohttp
from google.protobuf.message import Message

from teleglas_cli.up.product import Product
from teleglas_cli.up.services import lag
from teleglas_common.bus.encode import decode
from teleglas_common.bus.testing import read_all
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from tests.support.product import SETTLE_TIMEOUT_S, held

__all__ = ["SAYING", "all_said", "chat_messages", "latest", "rescored"]

SAYING = (topics.WHALE_ALERTS_V1, topics.SIGNAL_SCORES_V1, topics.PREDICTION_FORECASTS_V1)
READERS = ("signal-scorer", "prediction", "notification")
BACKTEST_TIMEOUT_S = 120.0


async def all_said(product: Product) -> None:
    """Wait until every service has read what there is, and nothing more comes of it."""
    seen = -1

    async def is_quiet() -> bool:
        nonlocal seen
        behind = [await lag(product.layout.http[name]) for name in READERS]
        before, seen = seen, await held(product, *SAYING)
        return before == seen and not any(behind)

    await eventually(is_quiet, timeout_s=SETTLE_TIMEOUT_S, every_s=3.0)


async def latest(product: Product, topic: Topic, kind: type[Message]) -> dict[str, Any]:
    """The last revision of each event of a topic, by id."""
    found: dict[str, Any] = {}
    for records in (await read_all(product.bus, topic.name)).values():
        for record in records:
            message = decode(record)
            if isinstance(message, kind):
                revision: Any = message
                found[revision.id] = revision
    return found


async def chat_messages(product: Product) -> list[dict[str, Any]]:
    """What stands in the chat of this machine, oldest first."""
    url = f"{product.layout.chat_url}/chat"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        shown: list[dict[str, Any]] = (await response.json())["messages"]
        return shown


async def rescored(product: Product, *arguments: str) -> dict[str, Any]:
    """The report of `teleglas backtest` over the run's topics."""
    command: Sequence[str] = (
        *(sys.executable, "-m", "teleglas_signal_scorer.backtest", "--json", "--digest"),
        *("--kafka", product.stack.kafka_bootstrap, *arguments),
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), BACKTEST_TIMEOUT_S)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found
