"""A replay as a whole: the timeline, its play, and a server for each venue in the captures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from teleglas_sim.replay.audience import Audience
from teleglas_sim.replay.binance_feed import BinanceReplayFeed
from teleglas_sim.replay.instruments import canonical
from teleglas_sim.replay.loading import load
from teleglas_sim.replay.okx_feed import OkxReplayFeed
from teleglas_sim.replay.pace import MAX_SPEED, Pace
from teleglas_sim.replay.play import Play, Status
from teleglas_sim.replay.snapshot_hold import SnapshotHold
from teleglas_sim.replay.streams import BINANCE, OKX
from teleglas_sim.replay.timeline import Timeline
from teleglas_sim.server import (
    OKX_LIMITS,
    SPOT_LIMITS,
    USDM_LIMITS,
    BinanceSpotServer,
    BinanceUsdmServer,
    FaultBoard,
    Limits,
    OkxServer,
    VenueServer,
)

__all__ = ["Ports", "Replay", "ReplayOptions"]

_PENDING_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a venue listens; 0 takes a free port."""

    ws: int = 0
    rest: int = 0


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """`speed` is the factor of recorded time, `MAX_SPEED` the clients' own pace. `snapshot_hold_s`
    bounds the wait for a new subscriber's book at maximum speed.
    """

    speed: float = 1.0
    wait_for: int | None = None
    settle_s: float = 2.0
    pause_when_alone: bool = False
    max_idle_s: float = 5.0
    snapshot_hold_s: float = 2.0
    ports: Mapping[str, Ports] = field(default_factory=dict)


class Replay:
    """Serves captures until it is stopped; the play begins when clients have subscribed."""

    def __init__(
        self,
        timeline: Timeline,
        options: ReplayOptions,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.timeline = timeline
        self.faults = FaultBoard(clock_s)
        audience = Audience(
            clock_s,
            wait_for=options.wait_for,
            settle_s=options.settle_s,
            pause_when_alone=options.pause_when_alone,
        )
        pace = Pace(timeline.ts_recv, options.speed, options.max_idle_s)
        hold = SnapshotHold(options.snapshot_hold_s if options.speed == MAX_SPEED else 0.0)
        self.play = Play(timeline, audience, pace, hold, clock_s)
        self._options = options
        self._now_ms = now_ms
        self.servers = {venue: self._server(venue) for venue in timeline.venues()}
        self._running: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, captures: list[Path], options: ReplayOptions) -> Replay:
        """Read the captures; raises `CaptureError` when one cannot be served."""
        return cls(load(captures), options)

    async def start(self) -> None:
        """Listen, and play as soon as the audience is there."""
        for venue, server in self.servers.items():
            ports = self._options.ports.get(venue, Ports())
            await server.start(ports.ws, ports.rest)
        self._running = asyncio.create_task(self.play.run())

    async def stop(self) -> None:
        """Hang up and give the ports and the disk space back."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        for server in self.servers.values():
            await server.stop()
        self.timeline.close()

    async def drained(self) -> None:
        """Wait for the end of the play; an error in it is raised here."""
        if self._running is None:
            raise RuntimeError("expected a started replay, it was not started")
        await asyncio.shield(self._running)

    def instruments(self, venue: str) -> list[str]:
        """Canonical symbols of what was recorded of a venue."""
        return [canonical(venue, symbol) for symbol in self.timeline.symbols(venue)]

    def status(self) -> Status:
        return self.play.status()

    def _server(self, venue: str) -> VenueServer:
        if venue == OKX:
            okx = OkxReplayFeed(self.play, self.faults)
            self.play.connect(venue, okx)
            return OkxServer(
                okx, faults=self.faults, now_ms=self._now_ms, limits=_bounded(OKX_LIMITS)
            )
        feed = BinanceReplayFeed(self.play, venue, self.faults)
        self.play.connect(venue, feed)
        if venue == BINANCE:
            return BinanceSpotServer(
                feed, faults=self.faults, now_ms=self._now_ms, limits=_bounded(SPOT_LIMITS)
            )
        return BinanceUsdmServer(
            feed, faults=self.faults, now_ms=self._now_ms, limits=_bounded(USDM_LIMITS)
        )


def _bounded(limits: Limits) -> Limits:
    """Little in flight: a client that is lost at maximum speed has less to make up for."""
    return replace(limits, max_pending_bytes=_PENDING_BYTES)
