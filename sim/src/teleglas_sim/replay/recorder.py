"""Record a venue: its frames as they come in, and REST answers between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from teleglas_sim.replay.capture_writer import CaptureWriter
from teleglas_sim.replay.record_plan import Connection, Plan, Snapshot
from teleglas_sim.replay.streams import stream_key, stream_of

__all__ = ["Recorder", "RecorderOptions"]

_FLUSH_EVERY_S = 5.0
_HEARTBEAT_S = 20.0
_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 30.0
_REST_TIMEOUT_S = 10.0
_SHARED = "all"


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """Base URLs without a path, and how often the book snapshots are taken again."""

    venue: str
    ws_url: str
    rest_url: str
    snapshot_every_s: float = 600.0


class Recorder:
    """Writes every data frame of the plan; acknowledgements and pongs are left out.

    A lost connection is taken up again after a growing pause, and the books' snapshots are taken
    anew, so that a capture with a hole can still be replayed behind it.
    """

    def __init__(
        self,
        options: RecorderOptions,
        plan: Plan,
        writer: CaptureWriter,
        now_ns: Callable[[], int],
    ) -> None:
        self._options = options
        self._plan = plan
        self._writer = writer
        self._now_ns = now_ns
        self._instruments: dict[bytes, str] = {}
        self.frames = 0
        self.answers = 0
        self.reconnects = 0
        self.failed_answers = 0

    async def run(self) -> None:
        """Record until cancelled; the files are whole afterwards."""
        try:
            timeout = aiohttp.ClientTimeout(total=_REST_TIMEOUT_S)
            async with aiohttp.ClientSession(timeout=timeout) as rest, asyncio.TaskGroup() as tasks:
                for snapshot in self._plan.once:
                    await self._fetch(rest, snapshot)
                for connection in self._plan.connections:
                    tasks.create_task(self._stay_connected(rest, connection))
                tasks.create_task(self._snapshot_now_and_then(rest))
                tasks.create_task(self._flush_now_and_then())
        finally:
            self._writer.close()

    def on_frame(self, payload: bytes) -> None:
        """Write one text message, if it is data."""
        key = stream_key(payload)
        if key is None:
            return
        instrument = self._instruments.get(key)
        if instrument is None:
            instrument = stream_of(self._options.venue, key).symbol or _SHARED
            self._instruments[key] = instrument
        self._writer.write(self._now_ns(), instrument, payload)
        self.frames += 1

    async def _stay_connected(self, rest: aiohttp.ClientSession, connection: Connection) -> None:
        backoff_s = _FIRST_BACKOFF_S
        while True:
            frames = self.frames
            with suppress(OSError, WSError, TimeoutError):
                url = f"{self._options.ws_url}{connection.path}"
                transport, _ = await ws_connect(lambda: _Ear(self.on_frame), url)
                await self._listen(rest, connection, transport)
            self.reconnects += 1
            backoff_s = _FIRST_BACKOFF_S if self.frames > frames else backoff_s
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, _LONGEST_BACKOFF_S)

    async def _listen(
        self, rest: aiohttp.ClientSession, connection: Connection, transport: WSTransport
    ) -> None:
        if connection.hello is not None:
            transport.send(WSMsgType.TEXT, connection.hello)
        beating = asyncio.create_task(_beat(transport, connection.heartbeat))
        try:
            await self._take_snapshots(rest)
            await transport.wait_disconnected()
        finally:
            beating.cancel()
            transport.disconnect()

    async def _snapshot_now_and_then(self, rest: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(self._options.snapshot_every_s)
            await self._take_snapshots(rest)

    async def _take_snapshots(self, rest: aiohttp.ClientSession) -> None:
        for snapshot in self._plan.repeated:
            await self._fetch(rest, snapshot)

    async def _fetch(self, rest: aiohttp.ClientSession, snapshot: Snapshot) -> None:
        """A refused or failed call is counted; the frames go on without it."""
        try:
            async with rest.get(f"{self._options.rest_url}{snapshot.path}") as answer:
                body = await answer.read()
                if answer.status != 200:
                    self.failed_answers += 1
                    return
        except (aiohttp.ClientError, TimeoutError):
            self.failed_answers += 1
            return
        body = _narrowed(body, snapshot.instrument) if "exchangeInfo" in snapshot.path else body
        self._writer.write(self._now_ns(), snapshot.instrument, body)
        self.answers += 1

    async def _flush_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_EVERY_S)
            self._writer.flush()


class _Ear(WSListener):
    def __init__(self, on_frame: Callable[[bytes], None]) -> None:
        super().__init__()
        self._on_frame = on_frame
        self._partial = b""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type in {WSMsgType.TEXT, WSMsgType.CONTINUATION}:
            self._partial += frame.get_payload_as_bytes()
            if frame.fin:
                payload, self._partial = self._partial, b""
                self._on_frame(payload)


async def _beat(transport: WSTransport, heartbeat: bytes | None) -> None:
    while heartbeat is not None:
        await asyncio.sleep(_HEARTBEAT_S)
        transport.send(WSMsgType.TEXT, heartbeat)


def _narrowed(body: bytes, symbol: str) -> bytes:
    """USD-M answers for all symbols whatever is asked; the file keeps its own."""
    info = msgspec.json.decode(body)
    info["symbols"] = [entry for entry in info["symbols"] if entry["symbol"] == symbol]
    return msgspec.json.encode(info)
