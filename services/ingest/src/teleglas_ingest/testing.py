"""What tests of ingest share: instruments, recorded frames, hand-written fakes of the ports."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from teleglas_ingest.domain.instrument import Instrument, Kind, Market, Status
from teleglas_ingest.domain.numbers import Exact
from teleglas_ingest.ports import Closed, RestError, Socket

__all__ = [
    "FakeDialer",
    "FakeRest",
    "FakeSocket",
    "comes_true",
    "inverse_swap",
    "linear_swap",
    "recorded",
    "spot",
    "usdm",
]


def spot(venue: str = "binance", symbol: str = "BTC-USDT", *, dash: bool = False) -> Market:
    base, quote = symbol.split("-")
    return Market(
        Instrument(
            venue=venue,
            symbol=symbol,
            venue_symbol=symbol if dash else base + quote,
            kind=Kind.SPOT,
            base=base,
            quote=quote,
            settle=quote,
            tick_size=Exact(1, -2),
            lot_size=Exact(1, -5),
            status=Status.TRADING,
            price_exponent=-8,
            size_exponent=-8,
        )
    )


def usdm(symbol: str = "BTC-USDT-PERP") -> Market:
    base, quote, _ = symbol.split("-")
    return Market(
        Instrument(
            venue="binance-usdm",
            symbol=symbol,
            venue_symbol=base + quote,
            kind=Kind.PERPETUAL,
            base=base,
            quote=quote,
            settle=quote,
            tick_size=Exact(1, -1),
            lot_size=Exact(1, -3),
            status=Status.TRADING,
            price_exponent=-2,
            size_exponent=-3,
            contract_multiplier=Exact(1, 0),
        )
    )


def linear_swap(symbol: str = "BTC-USDT-PERP") -> Market:
    """An OKX swap of 0.01 base units a contract, traded in hundredths of a contract."""
    base, quote, _ = symbol.split("-")
    return Market(
        Instrument(
            venue="okx",
            symbol=symbol,
            venue_symbol=f"{base}-{quote}-SWAP",
            kind=Kind.PERPETUAL,
            base=base,
            quote=quote,
            settle=quote,
            tick_size=Exact(1, -1),
            lot_size=Exact(1, -2),
            status=Status.TRADING,
            price_exponent=-1,
            size_exponent=-4,
            contracts_exponent=-2,
            contract_multiplier=Exact(1, -2),
        )
    )


def inverse_swap(symbol: str = "BTC-USD-PERP") -> Market:
    """An OKX swap of 100 quote units a contract, settled in the base."""
    base, quote, _ = symbol.split("-")
    return Market(
        Instrument(
            venue="okx",
            symbol=symbol,
            venue_symbol=f"{base}-{quote}-SWAP",
            kind=Kind.PERPETUAL,
            base=base,
            quote=quote,
            settle=base,
            tick_size=Exact(1, -1),
            lot_size=Exact(1, 0),
            status=Status.TRADING,
            price_exponent=-1,
            size_exponent=-8,
            contract_multiplier=Exact(1, 2),
            inverse=True,
        )
    )


def recorded(path: Path) -> Iterator[tuple[int, bytes]]:
    """(receive time ns, frame or body) of a capture with one of them a line."""
    with gzip.open(path, "rb") as lines:
        for line in lines:
            ts, _, body = line.partition(b" ")
            yield int(ts), body.strip()


async def comes_true(probe: Callable[[], Awaitable[bool]], *, timeout_s: float = 20.0) -> None:
    """Wait until an asynchronous probe is true."""
    async with asyncio.timeout(timeout_s):
        while True:
            if await probe():
                return
            await asyncio.sleep(0.05)


class FakeRest:
    """Answers by path; a missing path is a RestError. Remembers what it was asked."""

    def __init__(self, answers: Mapping[str, bytes] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def get(self, path: str, params: Mapping[str, str], *, weight: int) -> bytes:  # noqa: ARG002
        self.asked.append((path, dict(params)))
        if path not in self.answers:
            raise RestError(
                f"expected an answer for {path}, had {sorted(self.answers)}", status=404
            )
        return self.answers[path]

    async def close(self) -> None: ...


class FakeSocket:
    """A socket in memory: what was sent is kept, frames are pushed with `push`."""

    def __init__(
        self, url: str, on_frame: Callable[[bytes], None], on_pong: Callable[[], None]
    ) -> None:
        self.url = url
        self.push = on_frame
        self.pong = on_pong
        self.sent: list[bytes] = []
        self.pings = 0
        self.paused = False
        self._closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()

    def send(self, text: bytes) -> None:
        self.sent.append(text)

    def ping(self) -> None:
        self.pings += 1

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    async def closed(self) -> Closed:
        return await asyncio.shield(self._closed)

    def close(self) -> None:
        self.drop("closed by us")

    def drop(self, detail: str) -> None:
        if not self._closed.done():
            self._closed.set_result(Closed(None, detail))

    @property
    def is_open(self) -> bool:
        return not self._closed.done()


class FakeDialer:
    """Opens sockets in memory; `refuse` makes the next so many connects fail."""

    def __init__(self) -> None:
        self.sockets: list[FakeSocket] = []
        self.refuse = 0

    async def dial(
        self, url: str, on_frame: Callable[[bytes], None], on_pong: Callable[[], None]
    ) -> Socket:
        if self.refuse:
            self.refuse -= 1
            raise OSError("refused")
        socket = FakeSocket(url, on_frame, on_pong)
        self.sockets.append(socket)
        return socket
