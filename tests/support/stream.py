"""A client of the stream that holds the gateway to its sequence numbers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from teleglas_cli.streaming import open_stream, subscribe
from teleglas_cli.up.product import Product

__all__ = ["Follower", "following", "not_reading", "stream_url"]

Json = dict[str, Any]
Subject = tuple[str, str, str, str]


@dataclass(slots=True)
class Follower:
    """Takes messages of subscriptions, over any number of connections.

    `faults` names every hole and repeat: a message whose `prev_seq` is not the last that was seen
    of its subject, or whose `seq` does not grow.
    """

    last: dict[Subject, tuple[str, int]] = field(default_factory=dict)
    taken: int = 0
    faults: list[str] = field(default_factory=list)
    unrecovered: list[Json] = field(default_factory=list)
    refusals: list[Json] = field(default_factory=list)

    def take(self, message: Json) -> None:
        """Check one message."""
        match message["type"]:
            case "resumed" if not message["recovered"]:
                self.unrecovered.append(message)
            case "error" | "closing" | "skipped":
                self.refusals.append(message)
            case "subscribed" if message["errors"]:
                self.refusals.append(message)
            case "trade" | "candle" | "whale_alert" if message["seq"] is not None:
                self._sequenced(message)

    @property
    def resume(self) -> dict[str, tuple[str, int]]:
        """Where it stands, as a subscribe command wants it."""
        return {
            ":".join(part for part in subject if part): place
            for subject, place in self.last.items()
        }

    def _sequenced(self, message: Json) -> None:
        interval = message.get("interval", "")
        subject = (message["channel"], message["venue"], message["symbol"], interval)
        seq, prev = message["seq"], message["prev_seq"]
        known = self.last.get(subject)
        if known is not None and prev != known[1]:
            self.faults.append(f"{subject}: expected prev_seq {known[1]}, was {prev} at {seq}")
        if known is not None and seq <= known[1]:
            self.faults.append(f"{subject}: expected a seq above {known[1]}, was {seq}")
        self.last[subject] = (message["epoch"], seq)
        self.taken += 1

    async def follow(self, connection: ClientConnection, most: int | None = None) -> None:
        """Take messages until the connection ends, or `most` of them."""
        until = None if most is None else self.taken + most
        async for text in connection:
            self.take(json.loads(text))
            if until is not None and self.taken >= until:
                return


@asynccontextmanager
async def following(
    product: Product, symbols: Sequence[str], venues: Collection[str] = ("binance",)
) -> AsyncIterator[Follower]:
    """Follow trades in the background, as a healthy client beside what a test does."""
    follower = Follower()
    async with open_stream(product.running.gateway_url, product.running.demo_key) as connection:
        await subscribe(connection, "trades", symbols, venue=list(venues), snapshot=False)
        task = asyncio.create_task(follower.follow(connection))
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def stream_url(product: Product) -> str:
    return product.running.gateway_url.replace("http", "ws", 1) + "/v1/stream"


@asynccontextmanager
async def not_reading(product: Product, symbols: Sequence[str]) -> AsyncIterator[None]:
    """A client that subscribes to much, has room for little and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.setblocking(False)
    parts = urlsplit(product.running.gateway_url)
    await asyncio.get_running_loop().sock_connect(client, (parts.hostname, parts.port))
    async with connect(
        stream_url(product),
        sock=client,
        additional_headers={"Authorization": f"Bearer {product.running.demo_key}"},
        compression=None,
        max_queue=1,
        ping_interval=None,
    ) as connection:
        venues = ["binance", "binance-usdm", "okx"]
        both = [*symbols, *(f"{name}-PERP" for name in symbols)]
        for channel in ("trades", "books", "tickers"):
            await subscribe(connection, channel, both, venue=venues, snapshot=True)
        connection.transport.pause_reading()
        yield
        connection.transport.abort()
