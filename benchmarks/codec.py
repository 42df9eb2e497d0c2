"""Frame → event: ours against cryptofeed and against msgspec's typed decode alone, same frames.

An update is one trade, best-quote or book frame of a Binance spot capture, in the capture's own
mix. Ours decodes, checks and scales into exact integers, and applies book changes to its book;
cryptofeed decodes, builds its objects and applies book changes to its book. Beside msgspec alone,
which decodes into typed structs, ours applies no book either.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from teleglas_common.testing.realdata import realdata_root
from teleglas_ingest.domain.book import Book
from teleglas_ingest.domain.events import BookChange, Channel
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.ports import Rest
from teleglas_ingest.venues.binance import mapping
from teleglas_ingest.venues.binance.client import BinanceSpot
from teleglas_ingest.venues.binance.schemas import BookTickerFrame, Symbol, TradeFrame

ROUNDS = 15
TARGET_CRYPTOFEED, TARGET_MSGSPEC = 2.0, 0.4
SYMBOL = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000"},
    ],
}


def capture() -> list[bytes]:
    """The capture's trade, best-quote and depth frames."""
    path = realdata_root() / "captures" / "binance" / "spot_btcusdt_20240808.gz"
    if not path.exists():
        raise SystemExit(f"codec needs {path.name}; name its folder in TELEGLAS_REALDATA")
    with gzip.open(path) as lines:
        frames = [line.partition(b" ")[2].strip() for line in lines]
    return [frame for frame in frames if frame.startswith(b'{"stream"')]


def ours(frames: Sequence[bytes], *, with_book: bool) -> Callable[[], int]:
    """One pass over the frames the way ingest does it."""
    market = Market(mapping.instrument("binance", msgspec.convert(SYMBOL, Symbol)))
    venue = BinanceSpot(_NoRest(), "ws://unused")
    channels = (Channel.TRADES, Channel.BOOKS, Channel.TICKERS)
    routes = venue.routes(venue.streams(market, channels), {"BTCUSDT": market})
    key, book = venue.key, Book()

    def decode() -> int:
        events = 0
        for frame in frames:
            _, route = routes[key(frame)]
            events += len(route(frame, 1))
        return events

    def decode_and_apply() -> int:
        events = 0
        for frame in frames:
            _, route = routes[key(frame)]
            for event in route(frame, 1):
                events += 1
                if type(event) is BookChange:
                    book.apply(event)
        return events

    return decode_and_apply if with_book else decode


class _Depth(msgspec.Struct, gc=False):
    event_ms: int = msgspec.field(name="E")
    first_id: int = msgspec.field(name="U")
    final_id: int = msgspec.field(name="u")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")


class _DepthFrame(msgspec.Struct, gc=False):
    data: _Depth


def bare_msgspec(frames: Sequence[bytes]) -> Callable[[], int]:
    """The same frames by the same look at their stream's name into whole typed structs, no more:
    numbers stay strings, levels are pairs of them.
    """
    kinds: dict[bytes, type] = {
        b"btcusdt@trade": TradeFrame,
        b"btcusdt@bookTicker": BookTickerFrame,
        b"btcusdt@depth@100ms": _DepthFrame,
    }
    decoders: dict[bytes, Callable[[bytes], Any]] = {
        name: msgspec.json.Decoder(kind).decode for name, kind in kinds.items()
    }

    def run() -> int:
        for frame in frames:
            decoders[frame[11 : frame.find(b'"', 11)]](frame)
        return len(frames)

    return run


class _NoRest(Rest):
    async def get(self, path: str, params: Any, *, weight: int) -> bytes:
        raise OSError(f"expected no request, was {path} {params} {weight}")

    async def close(self) -> None:
        return None


def _seconds(run: Callable[[], int]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


PEER = """
import asyncio, json, sys, time
from collections import defaultdict
from decimal import Decimal
from cryptofeed.defines import L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbol, Symbols
from cryptofeed.types import OrderBook

frames = json.load(open(sys.argv[1]))
Symbols.set(Binance.id, {"BTC-USDT": "BTCUSDT"}, {"instrument_type": {"BTC-USDT": "spot"}})
count = 0
async def took(*_):
    global count
    count += 1
feed = Binance(symbols=["BTC-USDT"], channels=[TRADES, TICKER, L2_BOOK],
               callbacks={TRADES: took, TICKER: took, L2_BOOK: took})
async def run():
    feed._reset()
    feed._l2_book["BTC-USDT"] = OrderBook(feed.id, "BTC-USDT", max_depth=feed.max_depth)
    feed._l2_book["BTC-USDT"].delta = {}
    first = next(json.loads(f)["data"] for f in frames if '"depthUpdate"' in f)
    feed.last_update_id["BTC-USDT"] = first["U"] - 1
    began = time.perf_counter()
    for frame in frames:
        await feed.message_handler(frame, None, 1.0)
    return time.perf_counter() - began
for _ in sys.stdin:
    count = 0
    seconds = asyncio.run(run())
    print(json.dumps({"seconds": seconds, "events": count}), flush=True)
"""


@contextmanager
def cryptofeed(frames: Sequence[bytes]) -> Iterator[Callable[[], float]]:
    """Seconds of one pass of cryptofeed, in a process of its own that waits between passes.

    It knows Binance's trades only in their aggregate form: the trade frames are renamed to that,
    field by field.
    """
    renamed = [
        frame.replace(b'"e":"trade"', b'"e":"aggTrade"').replace(b'"t":', b'"a":').decode()
        for frame in frames
    ]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "frames.json"
        path.write_text(json.dumps(renamed))
        with subprocess.Popen(
            [os.environ["TELEGLAS_PEERS_PYTHON"], "-W", "ignore", "-c", PEER, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as peer:
            yield lambda: _one_pass(peer, len(frames))
            peer.kill()


def _one_pass(peer: subprocess.Popen[str], frames: int) -> float:
    if peer.stdin is None or peer.stdout is None:
        raise SystemExit("expected pipes to cryptofeed, found none")
    peer.stdin.write("go\n")
    peer.stdin.flush()
    line = peer.stdout.readline()
    if not line:
        raise SystemExit("cryptofeed ended; its error stands above")
    found = json.loads(line)
    if found["events"] < frames * 0.99:
        raise SystemExit(f"cryptofeed made {found['events']} events of {frames} frames")
    return float(found["seconds"])


def main() -> None:
    frames = capture()
    kinds = {
        name: sum(b"@" + name.encode() in frame[:40] for frame in frames)
        for name in ("trade", "bookTicker", "depth")
    }
    print(f"{len(frames)} frames: {kinds}; {ROUNDS} rounds in turn, medians")
    codec, with_book = ours(frames, with_book=False), ours(frames, with_book=True)
    bare = bare_msgspec(frames)
    taken: dict[str, list[float]] = {}
    with cryptofeed(frames) as peer:
        runs: dict[str, Callable[[], float]] = {
            "codec": partial(_seconds, codec),
            "msgspec": partial(_seconds, bare),
            "with book": partial(_seconds, with_book),
            "cryptofeed": peer,
        }
        order = list(runs)
        for _ in range(ROUNDS + 1):
            for name in order:
                taken.setdefault(name, []).append(runs[name]())
            order.append(order.pop(0))  # no one always follows the same one's caches
    for name, seconds in taken.items():
        seconds.pop(0)  # the warm-up
        print(f"{name:<11} {len(frames) / statistics.median(seconds):>10,.0f} updates/s")
    against = _ratio(taken["msgspec"], taken["codec"])
    ratio = _ratio(taken["cryptofeed"], taken["with book"])
    print(_verdict("codec-msgspec", against, TARGET_MSGSPEC))
    print(_verdict("codec", ratio, TARGET_CRYPTOFEED))
    sys.exit(0 if ratio >= TARGET_CRYPTOFEED and against >= TARGET_MSGSPEC else 1)


def _ratio(peer: Sequence[float], own: Sequence[float]) -> float:
    """Median over the rounds of the peer's seconds by ours: each pair ran back to back."""
    return statistics.median(a / b for a, b in zip(peer, own, strict=True))


def _verdict(name: str, ratio: float, target: float) -> str:
    return f"{name} ratio={ratio:.2f} target={target} {'ok' if ratio >= target else 'short'}"


if __name__ == "__main__":
    main()
