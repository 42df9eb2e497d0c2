"""What the prober pod runs: `python -m tests.cluster.probe follow|flows|verdict`.

It reaches Kafka, PostgreSQL and the services by their names, which a port-forward could not: a
broker names itself, and a forward ends with the pod. The last line of each command is one JSON
object.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
from websockets.exceptions import WebSocketException

from teleglas_cli.streaming import open_stream, subscribe
from teleglas_cli.up.product import Product
from teleglas_cli.up.services import STARTED
from teleglas_common.bus.ports import Bus, BusError
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from tests.support.intelligence import all_said, assert_all_kept, chat_messages
from tests.support.product import assert_caught_up, connected, held
from tests.support.stream import Follower
from tests.support.truth import assert_nothing_lost

STATE = Path("/tmp/follow.json")  # noqa: S108  # the pod's own
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
CHANNELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("trades", {}),
    ("candles", {"interval": "1s"}),
    ("whales", {}),
)
AGAIN_S = 0.2
FLOW_TIMEOUT_S = 180.0
Json = dict[str, Any]


@dataclass
class Deployed:
    """The product of this namespace, as far as tests/support asks a Product."""

    bus: Bus = field(
        default_factory=lambda: create_bus(
            KafkaSection(bootstrap=os.environ["TELEGLAS_KAFKA__BOOTSTRAP"]), "teleglas-prober"
        )
    )
    stack: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(postgres_dsn=os.environ["TELEGLAS_POSTGRES__DSN"])
    )
    running: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            gateway_url="http://gateway:8080", demo_key=os.environ["TELEGLAS_API_KEY"]
        )
    )
    layout: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            http={name: f"http://{name}:8080" for name in STARTED}, chat_url="http://bot-api:8080"
        )
    )


def deployed() -> Product:
    return cast(Product, Deployed())


@dataclass
class Stream:
    """A client that comes back with its place after every end of its connection."""

    follower: Follower = field(default_factory=Follower)
    connections: int = 0
    ends: list[str] = field(default_factory=list)

    async def run(self, product: Product) -> None:
        while True:
            try:
                await self._connection(product)
                self.ends.append("closed")
            except (OSError, TimeoutError, WebSocketException) as error:
                self.ends.append(type(error).__name__)
            await asyncio.sleep(AGAIN_S)

    async def _connection(self, product: Product) -> None:
        running = product.running
        async with open_stream(running.gateway_url, running.demo_key) as connection:
            self.connections += 1
            places = self.follower.resume
            for channel, extra in CHANNELS:
                own = {name: at for name, at in places.items() if name.startswith(f"{channel}:")}
                more = {**extra, "resume": own} if own else extra
                await subscribe(
                    connection, channel, SYMBOLS, venue=["binance"], snapshot=False, **more
                )
            await self.follower.follow(connection)

    def shown(self) -> Json:
        """`refused` is what the gateway said no to; that it stops is no refusal."""
        follower = self.follower
        return {
            "connections": self.connections,
            "taken": follower.taken,
            "faults": follower.faults,
            "unrecovered": follower.unrecovered,
            "refused": [one for one in follower.refusals if one["type"] != "closing"],
            "closings": [one["code"] for one in follower.refusals if one["type"] == "closing"],
            "ends": self.ends[-20:],
        }


async def follow() -> Json:
    """Follow for ever; where it stands is in a file."""
    stream = Stream()
    following = asyncio.create_task(stream.run(deployed()))
    while not following.done():
        scratch = STATE.with_suffix(".new")
        scratch.write_text(json.dumps(stream.shown()))
        scratch.replace(STATE)
        await asyncio.wait({following}, timeout=0.5)
    following.result()
    return stream.shown()


def followed() -> Json:
    """Where the follower stands."""
    found: Json = json.loads(STATE.read_text())
    return found


async def counts(product: Product) -> dict[str, int]:
    try:
        async with connected(product) as database:
            rows = await database.fetchval("SELECT count(*) FROM market_data.trades")
        return {
            "trades": await held(product, topics.MARKET_TRADES_V1),
            "candles": await held(product, topics.MARKET_CANDLES_V1),
            "scores": await held(product, topics.SIGNAL_SCORES_V1),
            "stored": int(rows),
            "streamed": int(followed()["taken"]),
        }
    except (BusError, OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise AssertionError(f"expected the servers to answer: {error!r}") from error


async def flows() -> Json:
    """Trades, candles, scores, rows and stream messages all become more."""
    product = deployed()
    first = await eventually(lambda: counts(product), timeout_s=FLOW_TIMEOUT_S, every_s=0.5)

    async def assert_more() -> Json:
        now = await counts(product)
        still = [name for name, count in first.items() if now[name] <= count]
        assert not still, f"expected more {still} than {first}"
        return now

    return await eventually(assert_more, timeout_s=FLOW_TIMEOUT_S, every_s=0.5)


async def verdict() -> Json:
    """Nothing lost from topic to database, candles, alerts and chat; ingest must have stopped."""
    product = deployed()
    await eventually(lambda: assert_caught_up(product), timeout_s=FLOW_TIMEOUT_S, every_s=1.0)
    await all_said(product)
    market = await assert_nothing_lost(product)
    alerts = await assert_all_kept(product, rescore=False)
    told = sum(bool(one["keyboard"]) for one in await chat_messages(product))
    return {
        "trades": market.trades,
        "repeated": market.repeated,
        "missing_named": market.missing_named,
        "gaps": market.gaps,
        "candles": market.candles,
        "alerts": alerts,
        "messages": told,
        "stream": followed(),
    }


COMMANDS = {"follow": follow, "flows": flows, "verdict": verdict}


def main() -> None:
    found = asyncio.run(COMMANDS[sys.argv[1]]())
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
