"""The latest ticker, summary and candle of each market in Redis, for whoever wants only those."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from redis.exceptions import RedisError

from teleglas_common.redis import Cache

__all__ = ["RedisLatest"]

FLUSH_S = 0.1
MAX_WAITING = 20_000
_log = logging.getLogger(__name__)


class RedisLatest:
    """Writes newest values in pipelines. Only the newest of a key waits, and keys are bounded: a
    value that finds no room is dropped, because the next one of its key repairs it.
    """

    def __init__(self, client: Cache, prefix: str = "teleglas:latest") -> None:
        self._client: Any = client
        self._prefix = prefix
        self._waiting: dict[str, bytes] = {}
        self._arrived = asyncio.Event()
        self._stopping = False
        self.failing: str | None = None

    def put(self, kind: str, venue: str, instrument: str, message: bytes) -> None:
        key = f"{self._prefix}:{kind}:{venue}:{instrument}"
        if len(self._waiting) < MAX_WAITING or key in self._waiting:
            self._waiting[key] = message
            self._arrived.set()

    async def start(self) -> None:
        """Nothing to open: the client connects when it is used."""

    async def run(self) -> None:
        """Write what waits, at most ten times a second, until stopped."""
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            await self._flush()
            await asyncio.sleep(FLUSH_S)

    async def stop(self) -> None:
        self._stopping = True
        self._arrived.set()
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()

    async def _flush(self) -> None:
        values, self._waiting = self._waiting, {}
        if not values:
            return
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, value in values.items():
                    pipeline.set(key, value)
                await pipeline.execute()
        except (RedisError, OSError) as error:
            self._waiting = values | self._waiting
            if self.failing is None:
                _log.warning("the cache does not take latest values: %s", error)
            self.failing = str(error)
        else:
            self.failing = None
