"""Wait for the first candle that a client of the stream gets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

from websockets.exceptions import WebSocketException

from teleglas_cli.running import Running
from teleglas_cli.streaming import StreamRefusedError, messages, open_stream, subscribe

__all__ = ["first_candle"]

RETRY_S = 0.2


async def first_candle(running: Running, venue: str, symbol: str, interval: str = "1s") -> float:
    """Subscribe and return the monotonic time of the first candle of it."""
    while True:
        with contextlib.suppress(OSError, TimeoutError, WebSocketException, StreamRefusedError):
            return await _first(running, venue, symbol, interval)
        await asyncio.sleep(RETRY_S)


async def _first(running: Running, venue: str, symbol: str, interval: str) -> float:
    async with open_stream(running.gateway_url, running.demo_key) as connection:
        await subscribe(
            connection, "candles", [symbol], venue=[venue], interval=interval, snapshot=False
        )
        async for message in messages(connection):
            if message.get("type") == "candle":
                return time.monotonic()
    raise StreamRefusedError(json.dumps({"expected": "a candle", "found": "the end"}))
