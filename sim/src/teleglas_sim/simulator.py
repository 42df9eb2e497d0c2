"""The simulator as a whole: the market, its feeds and servers, driven by the wall clock."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import log1p
from typing import Annotated, Literal

import msgspec

from teleglas_sim.feeds.binance import BinanceFeed
from teleglas_sim.feeds.okx import OkxFeed
from teleglas_sim.market.book import Side
from teleglas_sim.market.catalog import Venue, catalog
from teleglas_sim.market.market import Market, MarketConfig
from teleglas_sim.market.whales import WhaleKind
from teleglas_sim.server import (
    SPOT_LIMITS,
    USDM_LIMITS,
    BinanceSpotServer,
    BinanceUsdmServer,
    FaultBoard,
    OkxServer,
    VenueServer,
)
from teleglas_sim.settings import Settings
from teleglas_sim.truth import TruthLog

__all__ = ["News", "Simulator", "WhaleOrder"]

# After a stall (a suspended laptop) the market does not replay the lost time: it goes on from now.
LONGEST_CATCH_UP_MS = 2_000
STEPS_PER_TURN = 20


class WhaleOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A whale to plant; `notional` in quote, or a usual one when it is left out."""

    kind: WhaleKind
    symbol: str
    side: Literal["buy", "sell"]
    notional: float | None = None
    venue: Venue = Venue.BINANCE

    def __post_init__(self) -> None:
        if self.notional is not None and self.notional <= 0:
            raise ValueError(f"expected a notional above 0, got {self.notional}")


class News(msgspec.Struct, forbid_unknown_fields=True):
    """Every fair price moves by `share` at once: 0.05 is 5 % up."""

    share: Annotated[float, msgspec.Meta(ge=-0.5, le=1.0)]


class Simulator:
    """Start, run, stop. `clock_ms` is UTC milliseconds; the market's time follows it by whole
    steps.
    """

    def __init__(self, settings: Settings, *, clock_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._clock_ms = clock_ms
        step_ms = settings.step_ms
        now_ms = clock_ms() // step_ms * step_ms
        start_ms = settings.start_ms or now_ms
        self._offset_ms = start_ms - now_ms
        self.market = Market(
            MarketConfig(
                seed=settings.seed,
                trades_per_s=settings.rate,
                start_ms=start_ms,
                step_ms=step_ms,
                whale_interval_s=settings.whale_interval_s,
                cascade_interval_s=settings.cascade_interval_s,
                history=settings.history,
            ),
            catalog(settings.instruments),
        )
        self.truth = (
            TruthLog(settings.truth, self.market.specs, flow=settings.truth_flow)
            if settings.truth
            else None
        )
        self.faults: dict[Venue, FaultBoard] = {}
        self.servers: dict[Venue, VenueServer] = {}
        self._feeds: tuple[BinanceFeed | OkxFeed, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self.skipped_ms = 0

    def urls(self) -> dict[str, dict[str, str]]:
        """Base URLs per venue, once started."""
        return {
            venue.value: {"ws": server.ws_url, "rest": server.rest_url}
            for venue, server in self.servers.items()
        }

    async def start(self) -> None:
        """Open the ports, then let the market run."""
        settings, loop = self._settings, asyncio.get_running_loop()
        self.faults = {venue: FaultBoard(loop.time) for venue in Venue}
        spot = BinanceFeed(self.market, Venue.BINANCE, self.faults[Venue.BINANCE])
        usdm = BinanceFeed(self.market, Venue.BINANCE_USDM, self.faults[Venue.BINANCE_USDM])
        okx = OkxFeed(self.market, self.faults[Venue.OKX], checksums=settings.checksums)
        self._feeds = (spot, usdm, okx)
        life_s = settings.connection_life_s
        self.servers = {
            Venue.BINANCE: BinanceSpotServer(
                spot,
                faults=self.faults[Venue.BINANCE],
                now_ms=self.now_ms,
                limits=replace(SPOT_LIMITS, connection_life_s=life_s),
            ),
            Venue.BINANCE_USDM: BinanceUsdmServer(
                usdm,
                faults=self.faults[Venue.BINANCE_USDM],
                now_ms=self.now_ms,
                limits=replace(USDM_LIMITS, connection_life_s=life_s),
            ),
            Venue.OKX: OkxServer(okx, faults=self.faults[Venue.OKX], now_ms=self.now_ms),
        }
        ports = (
            (settings.binance_ws_port, settings.binance_rest_port),
            (settings.usdm_ws_port, settings.usdm_rest_port),
            (settings.okx_ws_port, settings.okx_rest_port),
        )
        for venue, server in self.servers.items():
            server.controls["whale"] = partial(self._plant_here, venue)
            server.controls["news"] = self._break_news
        for server, (ws_port, rest_port) in zip(self.servers.values(), ports, strict=True):
            await server.start(ws_port, rest_port, host=settings.host)
        if self.truth is not None:
            self.truth.open()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop the market, hang up, close the truth log with what is still open."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for server in self.servers.values():
            await server.stop()
        if self.truth is not None:
            self.truth.write(list(self.market.close()))
            self.truth.close()

    def plant(self, order: WhaleOrder) -> str:
        """Have a whale start with the next step; gives the parent id of the truth log."""
        for index, spec in enumerate(self.market.specs):
            if (spec.venue, spec.symbol) == (order.venue, order.symbol):
                side = Side.BUY if order.side == "buy" else Side.SELL
                return self.market.plant(order.kind, index, side, order.notional)
        known = ", ".join(f"{spec.venue}:{spec.symbol}" for spec in self.market.specs)
        raise ValueError(f"expected one of {known}, got {order.venue}:{order.symbol}")

    async def wait(self) -> None:
        """Return only when the market's task ends, with its error."""
        if self._task is not None:
            await self._task

    def now_ms(self) -> int:
        """The market's time by the wall clock."""
        return self._clock_ms() + self._offset_ms

    def step(self) -> None:
        """One step of the market to all feeds and the truth log."""
        events = self.market.step()
        for feed in self._feeds:
            feed.publish(events)
        if self.truth is not None:
            self.truth.write(events)
            if self.market.now_ms % 1000 == 0:
                self.truth.flush()

    def _plant_here(self, venue: Venue, body: bytes) -> dict[str, str]:
        order = msgspec.json.decode(body, type=WhaleOrder)
        return {"parent": self.plant(msgspec.structs.replace(order, venue=venue))}

    def _break_news(self, body: bytes) -> dict[str, bool]:
        self.market.prices.jump(log1p(msgspec.json.decode(body, type=News).share))
        return {"accepted": True}

    async def _run(self) -> None:
        step_ms = self.market.config.step_ms
        while True:
            behind_ms = self.now_ms() - self.market.now_ms
            if behind_ms > LONGEST_CATCH_UP_MS:
                self._skip(behind_ms)
                continue
            for _ in range(min(behind_ms // step_ms, STEPS_PER_TURN)):
                self.step()
            rest_ms = self.market.now_ms + step_ms - self.now_ms()
            await asyncio.sleep(max(rest_ms, 0) / 1000)

    def _skip(self, behind_ms: int) -> None:
        step_ms = self.market.config.step_ms
        lost_ms = behind_ms // step_ms * step_ms
        self.skipped_ms += lost_ms
        self.market.skip(lost_ms)
