"""What tests of the replay share: small captures made by hand, and a client of a real socket."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

__all__ = ["CaptureMaker", "Client", "spot_diff", "spot_snapshot", "spot_trade"]


class CaptureMaker:
    """Writes capture files of format (a) and counts the receive time up by 100 ms a line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ts = 1_723_161_253_000_000_000

    def write(self, name: str, payloads: list[str]) -> Path:
        path = self.folder / name
        with gzip.open(path, "wt") as out:
            for payload in payloads:
                self.ts += 100_000_000
                out.write(f"{self.ts} {payload}\n")
        return path


def spot_diff(first: int, last: int, bids: str = "[]", asks: str = "[]") -> str:
    return (
        '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT",'
        f'"U":{first},"u":{last},"b":{bids},"a":{asks}}}}}'
    )


def spot_snapshot(last: int, bids: str, asks: str) -> str:
    return f'{{"lastUpdateId":{last},"bids":{bids},"asks":{asks}}}'


def spot_trade(trade_id: int, price: str = "100.10000000") -> str:
    return (
        '{"stream":"btcusdt@trade","data":{"e":"trade","E":2,"s":"BTCUSDT",'
        f'"t":{trade_id},"p":"{price}","q":"0.50000000","T":2,"m":true,"M":true}}}}'
    )


class Client(WSListener):
    """A WebSocket client that keeps every text message and waits for so many of them."""

    _transport: WSTransport

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[bytes] = []
        self._awaited = 0
        self._reached = asyncio.Event()

    @classmethod
    async def connect(cls, url: str) -> Client:
        client = cls()
        await ws_connect(lambda: client, url)
        return client

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def say(self, message: object) -> None:
        self._transport.send(WSMsgType.TEXT, msgspec.json.encode(message))

    def lose(self) -> None:
        """Break the connection without a word."""
        self._transport.disconnect(graceful=False)

    async def until(self, count: int) -> list[bytes]:
        """The first `count` messages, when they are there."""
        self._awaited = count
        if len(self.messages) < count:
            self._reached.clear()
            async with asyncio.timeout(30):
                await self._reached.wait()
        return self.messages[:count]

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            self.messages.append(frame.get_payload_as_bytes())
            if len(self.messages) >= self._awaited:
                self._reached.set()
