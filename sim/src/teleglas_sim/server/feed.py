"""The port between a venue server and what stands behind it: the simulator or a capture.

A feed makes one `Frame` per venue message and hands the same object to every sink of its stream
(use `StreamHub` for the fan-out), so a frame is encoded once per wire form however many clients
follow it. Stream names are the venue's own: `btcusdt@trade` for Binance, `channel:instId`
(`trades:BTC-USDT`, `liquidation-orders:SWAP`) for OKX.

Order at a subscription: the server writes the acknowledgement first and calls `Feed.subscribe`
after it. A channel that opens with a snapshot (OKX `books`) sends it to the new sink inside
`subscribe`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Feed", "Frame", "FrameSink", "RestAnswer", "wire_text"]


def wire_text(payload: bytes) -> bytes:
    """An unmasked, unfragmented WebSocket text frame (RFC 6455, 5.2) around `payload`."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Frame:
    """One venue message of one stream; `payload` is the JSON as a raw subscription gets it."""

    __slots__ = ("_combined", "_raw", "payload", "stream")

    def __init__(self, stream: str, payload: bytes) -> None:
        self.stream = stream
        self.payload = payload
        self._raw: bytes | None = None
        self._combined: bytes | None = None

    def raw(self) -> bytes:
        """The wire form of the payload alone."""
        if self._raw is None:
            self._raw = wire_text(self.payload)
        return self._raw

    def combined(self) -> bytes:
        """The wire form inside Binance's `{"stream":…,"data":…}`."""
        if self._combined is None:
            self._combined = wire_text(
                b'{"stream":"%b","data":%b}' % (self.stream.encode(), self.payload)
            )
        return self._combined


class FrameSink(Protocol):
    """One client's end of one or more streams."""

    @property
    def closed(self) -> bool:
        """True when the client is gone; what is sent then is dropped."""
        ...

    def send(self, frame: Frame) -> None:
        """Queue a frame; a client whose queue passes its bound in bytes is disconnected."""
        ...

    async def drain(self) -> None:
        """Wait until the client has room again: for feeds that can wait (a capture at maximum
        speed).
        """
        ...


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """`status` and a JSON `body`; `headers` are added to the venue's own."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Feed(Protocol):
    """What a venue server serves."""

    def streams(self) -> Collection[str]:
        """Every stream that has data now; others are refused or acknowledged in silence, as
        the venue does.
        """
        ...

    async def subscribe(self, stream: str, sink: FrameSink) -> None:
        """Send `stream` to `sink` from now on, a snapshot first where the channel has one."""
        ...

    async def unsubscribe(self, stream: str, sink: FrameSink) -> None:
        """Stop sending; also called for every stream of a client that left. Unknown pairs are
        no error.
        """
        ...

    async def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer:
        """Answer `GET path?query`; limits and used weight are the server's business."""
        ...
