"""For tests: drives a market without a clock and keeps what its feeds would send."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from teleglas_sim.feeds.binance import BinanceFeed
from teleglas_sim.feeds.okx import OkxFeed
from teleglas_sim.market.catalog import Venue, catalog
from teleglas_sim.market.events import Event
from teleglas_sim.market.market import Market, MarketConfig
from teleglas_sim.server import FaultBoard, Frame

__all__ = ["START_MS", "Driven", "KeepingSink", "drive"]

START_MS = 1_700_000_000_000


class KeepingSink:
    """A client that follows everything and remembers it per stream; USD-M's get a prefix."""

    closed = False

    def __init__(self, frames: list[tuple[str, bytes]], prefix: str = "") -> None:
        self.frames = frames
        self._prefix = prefix

    def send(self, frame: Frame) -> None:
        """Keep it."""
        self.frames.append((self._prefix + frame.stream, frame.payload))

    async def drain(self) -> None:
        """There is always room."""


@dataclass
class Driven:
    """A market, its three feeds and one client on all their streams."""

    market: Market
    spot: BinanceFeed
    usdm: BinanceFeed
    okx: OkxFeed
    clock: list[float]
    faults: dict[Venue, FaultBoard]
    frames: list[tuple[str, bytes]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def of(self, stream: str) -> list[Any]:
        """A stream's frames, decoded."""
        return [json.loads(payload) for name, payload in self.frames if name == stream]

    def by_stream(self) -> dict[str, list[Any]]:
        """Every stream's frames, decoded."""
        streams: dict[str, list[Any]] = defaultdict(list)
        for name, payload in self.frames:
            streams[name].append(json.loads(payload))
        return streams

    def run(self, seconds: float) -> None:
        """Step the market and its clock."""
        for _ in range(round(seconds * 1000 / self.market.config.step_ms)):
            events = self.market.step()
            self.clock[0] += self.market.config.step_ms / 1000
            self.events.extend(events)
            for feed in (self.spot, self.usdm, self.okx):
                feed.publish(events)

    async def follow_all(self) -> None:
        """Subscribe to everything."""
        for feed, prefix in ((self.spot, ""), (self.usdm, "usdm/"), (self.okx, "")):
            sink = KeepingSink(self.frames, prefix)
            for stream in sorted(feed.streams()):
                await feed.subscribe(stream, sink)


def drive(
    *,
    seed: int = 7,
    rate: float = 300.0,
    instruments: int = 12,
    whale_interval_s: float = 3.0,
    cascade_interval_s: float = 6.0,
    checksums: bool = False,
    start_ms: int = START_MS,
) -> Driven:
    """A fresh market at `start_ms`, nothing followed yet."""
    config = MarketConfig(
        seed=seed,
        trades_per_s=rate,
        start_ms=start_ms,
        whale_interval_s=whale_interval_s,
        cascade_interval_s=cascade_interval_s,
        history=20_000,
    )
    market = Market(config, catalog(instruments))
    clock = [0.0]
    faults = {venue: FaultBoard(lambda: clock[0]) for venue in Venue}
    return Driven(
        market,
        BinanceFeed(market, Venue.BINANCE, faults[Venue.BINANCE]),
        BinanceFeed(market, Venue.BINANCE_USDM, faults[Venue.BINANCE_USDM]),
        OkxFeed(market, faults[Venue.OKX], checksums=checksums),
        clock,
        faults,
    )
