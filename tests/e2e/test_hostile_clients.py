"""Clients that mean harm, clients that cannot keep up, and a healthy one beside them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from teleglas_cli.streaming import open_stream, subscribe
from teleglas_cli.up.product import Product
from teleglas_common.testing import eventually
from teleglas_gateway.settings import StreamSection
from tests.support.product import rest, started
from tests.support.standing import MAX_SUBSCRIPTIONS
from tests.support.stream import Follower, following, not_reading, stream_url

ROUNDS = int(os.environ.get("TELEGLAS_RESUME_ROUNDS", "40"))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600 + ROUNDS),
    pytest.mark.asyncio(loop_scope="session"),
]

RESUMING = 10
"""Clients that share the rounds."""
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT", "DOGE-USDT")
LOG_REPLAYS = "teleglas_gateway_log_replays_total"
FRAME_BYTES = 10 * 1024 * 1024

Json = dict[str, Any]


async def until_closed(connection: ClientConnection) -> tuple[list[Json], int | None]:
    """What was said until the end, and the close code."""
    said: list[Json] = []
    with suppress(ConnectionClosed):
        async with asyncio.timeout(30):
            while True:
                said.append(json.loads(await connection.recv()))
    return said, connection.close_code


async def no_key_at_all(product: Product) -> None:
    """Refused at its first command, cut off when no ticket came in time."""
    async with connect(stream_url(product)) as connection:
        await subscribe(connection, "trades", ["BTC-USDT"])
        said, code = await until_closed(connection)
    assert [one["code"] for one in said] == ["unauthenticated", "auth_deadline"]
    assert code == 4408


async def forged_ticket(product: Product) -> None:
    for ticket in ("", "x" * 43, "'; DROP TABLE keys; --", "\0", "🎫"):
        async with connect(stream_url(product)) as connection:
            await connection.send(json.dumps({"method": "auth", "params": {"ticket": ticket}}))
            said, code = await until_closed(connection)
        assert (said[-1]["code"], code) == ("invalid_ticket", 4401), repr(ticket)


async def used_ticket(product: Product) -> None:
    async with rest(product) as http, http.post("/v1/stream/tickets") as response:
        ticket = (await response.json())["ticket"]
    auth = json.dumps({"method": "auth", "params": {"ticket": ticket}})
    async with connect(stream_url(product)) as first, connect(stream_url(product)) as second:
        await first.send(auth)
        assert json.loads(await first.recv())["type"] == "authenticated"
        await second.send(auth)
        said, code = await until_closed(second)
    assert (said[-1]["code"], code) == ("invalid_ticket", 4401)


async def forged_key(product: Product) -> None:
    key = product.running.demo_key
    for forged in (key[:-1] + ("A" if key[-1] != "A" else "B"), "tg_none_none", "x" * 5_000):
        async with open_stream(product.running.gateway_url, forged) as connection:
            said, code = await until_closed(connection)
        assert (said[-1]["code"], code) == ("unauthenticated", 4401)


async def huge_frame(product: Product) -> None:
    async with open_stream(product.running.gateway_url, product.running.demo_key) as connection:
        with suppress(ConnectionClosed):
            await connection.send("x" * FRAME_BYTES)
        _, code = await until_closed(connection)
    assert code == 1009


async def nonsense(product: Product) -> None:
    """Each is answered by name; the session lives on."""
    wrong = (
        ("{", "malformed_body"),
        ("[" * 10_000, "malformed_body"),
        ('{"method": "steal"}', "unknown_method"),
        ('{"method": "subscribe", "params": {"channel": 5}}', "validation_failed"),
        ('{"method": "subscribe", "params": {"channel": "a", "symbol": "b"}}', "unknown_channel"),
    )
    async with open_stream(product.running.gateway_url, product.running.demo_key) as connection:
        assert json.loads(await connection.recv())["type"] == "authenticated"
        for text, code in wrong:
            await connection.send(text)
            answer = json.loads(await connection.recv())
            assert (answer["type"], answer["code"]) == ("error", code)
        await connection.send('{"method": "ping", "req_id": 7}')
        while (answer := json.loads(await connection.recv()))["type"] == "heartbeat":
            pass
        assert answer == {"type": "pong", "req_id": 7}


async def a_thousand_subscriptions(product: Product) -> None:
    """Up to the limit they are taken, the others are refused one by one."""
    names = [f"{symbol}" for symbol in SYMBOLS]
    intervals = ["1s", "1m", "5m", "15m", "1h", "4h", "1d", "1w"]
    async with open_stream(product.running.gateway_url, product.running.demo_key) as connection:
        refused: list[Json] = []
        taken = 0
        for channel in ("candles", "trades", "books", "tickers", "gaps", "liquidations"):
            extra = {"interval": intervals} if channel == "candles" else {}
            venues = ["binance", "binance-usdm", "okx"]
            many = [*names, *(f"{name}-PERP" for name in names), *map("NONE-{}".format, range(200))]
            await subscribe(connection, channel, many, venue=venues, **extra)
            while (answer := json.loads(await connection.recv()))["type"] != "subscribed":
                pass
            taken += len(answer["subscriptions"])
            refused += answer["errors"]
    codes = {one["code"] for one in refused}
    assert "subscription_limit" in codes
    assert "unknown_symbol" in codes
    assert taken == MAX_SUBSCRIPTIONS
    assert taken + len(refused) > 1_000


@asynccontextmanager
async def half_open(product: Product, count: int) -> AsyncIterator[list[socket.socket]]:
    """Sockets that begin a handshake, or finish it, and never say another word."""
    parts = urlsplit(product.running.gateway_url)
    request = (
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    made = []
    for number in range(count):
        plug = socket.create_connection((parts.hostname, parts.port), timeout=5)
        plug.sendall(request[: (20, len(request) - 2, len(request))[number % 3]])
        plug.setblocking(False)
        made.append(plug)
    try:
        yield made
    finally:
        for plug in made:
            plug.close()


def is_cut(plug: socket.socket) -> bool:
    """Whether the other side has ended it."""
    try:
        while data := plug.recv(65_536):
            del data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


async def silent_sockets(product: Product) -> None:
    async with half_open(product, 60) as plugs:
        await eventually(lambda: all(map(is_cut, plugs)), timeout_s=60, every_s=0.5)


async def slow_reader(product: Product) -> None:
    """A client that reads nothing is closed, and counted by that name."""
    async with not_reading(product, SYMBOLS):
        await asyncio.wait_for(_shed(product), 120)


async def _shed(product: Product) -> None:
    await eventually(lambda: _closes(product, "slow_reader"), timeout_s=110, every_s=0.5)


async def _closes(product: Product, reason: str) -> bool:
    return await metric(product, f'teleglas_gateway_closes_total{{reason="{reason}"}}') > 0


async def metric(product: Product, name: str) -> float:
    """One of the gateway's, by its name and labels."""
    async with rest(product) as http, http.get("/metrics") as response:
        text = await response.text()
    lines = (line.rpartition(" ") for line in text.splitlines())
    return next(float(value) for found, _, value in lines if found == name)


ATTACKS = (
    no_key_at_all,
    forged_ticket,
    used_ticket,
    forged_key,
    huge_frame,
    nonsense,
    a_thousand_subscriptions,
    silent_sockets,
    slow_reader,
)


async def test_hostile_clients_are_refused_and_a_healthy_one_is_undisturbed(product):
    """All at once: each is turned away by name; the healthy client misses nothing."""
    before = started(product)
    async with following(product, SYMBOLS[:2]) as healthy:
        await eventually(lambda: healthy.taken > 20, timeout_s=30)
        results = await asyncio.gather(
            *(attack(product) for attack in ATTACKS), return_exceptions=True
        )
        failed = {
            attack.__name__: result
            for attack, result in zip(ATTACKS, results, strict=True)
            if result is not None
        }
        assert not failed, failed
        taken = healthy.taken
        await eventually(lambda: healthy.taken > taken + 20, timeout_s=30)
    assert not healthy.faults
    assert not healthy.refusals
    assert started(product) == before


async def test_clients_that_lose_their_connection_at_random_go_on_where_they_were(product):
    """Over all disconnects no message is missing or comes twice."""
    clients = [Follower() for _ in range(RESUMING)]
    began, before = time.monotonic(), await metric(product, LOG_REPLAYS)
    await asyncio.gather(
        *(comes_back(product, each, random.Random(7 + n)) for n, each in enumerate(clients))
    )
    for client in clients:
        assert not client.faults
        assert not client.refusals
        assert not client.unrecovered
    taken = sum(client.taken for client in clients)
    took_s, replays = time.monotonic() - began, await metric(product, LOG_REPLAYS) - before
    print(  # noqa: T201
        f"{ROUNDS} disconnects in {took_s:.1f} s, {taken} messages, no gap, no repeat;"
        f" {replays:.0f} read the log"
    )
    assert await metric(product, "teleglas_gateway_recent_bytes") < StreamSection().recent_bytes


async def comes_back(product: Product, client: Follower, rng: random.Random) -> None:
    """One client's share of the rounds: half of its connections end without a goodbye."""
    url, key = product.running.gateway_url, product.running.demo_key
    for number in range(ROUNDS // RESUMING):
        async with open_stream(url, key) as connection:
            resume = client.resume if number else None
            await subscribe(connection, "trades", SYMBOLS[:2], venue=["binance"], resume=resume)
            await asyncio.wait_for(client.follow(connection, most=rng.randint(1, 20)), 60)
            if rng.random() < 0.5:
                connection.transport.abort()
