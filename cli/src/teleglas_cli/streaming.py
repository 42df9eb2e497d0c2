"""A small client of the gateway's stream: connect, subscribe, hand out messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

__all__ = ["StreamRefusedError", "messages", "open_stream", "subscribe"]

Json = dict[str, Any]

OPEN_TIMEOUT_S = 10.0
MAX_MESSAGE_BYTES = 4 * 1024 * 1024


class StreamRefusedError(Exception):
    """The gateway said no to a subscription."""


@asynccontextmanager
async def open_stream(gateway_url: str, key: str) -> AsyncIterator[ClientConnection]:
    """A connection to /v1/stream; the key goes in a header, never in the URL."""
    url = gateway_url.replace("http", "ws", 1) + "/v1/stream"
    async with connect(
        url,
        additional_headers={"Authorization": f"Bearer {key}"},
        open_timeout=OPEN_TIMEOUT_S,
        max_size=MAX_MESSAGE_BYTES,
        compression=None,
    ) as connection:
        yield connection


async def subscribe(
    connection: ClientConnection, channel: str, symbols: Sequence[str], **params: Any
) -> None:
    """Ask for a channel; the answer comes among the messages."""
    request = {
        "method": "subscribe",
        "params": {"channel": channel, "symbol": list(symbols), **params},
        "req_id": 1,
    }
    await connection.send(json.dumps(request))


async def messages(connection: ClientConnection) -> AsyncIterator[Json]:
    """Every message from here on; StreamRefusedError if the subscription was refused."""
    async for frame in connection:
        message: Json = json.loads(frame)
        if message.get("type") == "error":
            raise StreamRefusedError(json.dumps(message))
        yield message
