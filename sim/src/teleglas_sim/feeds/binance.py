"""The market as Binance's streams, spot or USD-M."""

from collections.abc import Collection, Mapping

from teleglas_sim.feeds.binance_frames import BinanceFrames
from teleglas_sim.feeds.binance_rest import BinanceRest
from teleglas_sim.feeds.perpetual import LiquidationSampler, mark_of
from teleglas_sim.market.catalog import Venue
from teleglas_sim.market.events import (
    BookChanged,
    Event,
    Execution,
    Liquidated,
    Print,
    TopChanged,
)
from teleglas_sim.market.market import Market
from teleglas_sim.server import FaultBoard, FrameSink, RestAnswer, StreamHub

__all__ = ["BinanceFeed"]

SPOT_CHANNELS = ("trade", "aggTrade", "depth@100ms", "bookTicker", "ticker")
USDM_CHANNELS = (*SPOT_CHANNELS, "markPrice", "markPrice@1s", "forceOrder")
ALL_LIQUIDATIONS = "!forceOrder@arr"


class BinanceFeed:
    """Serves the instruments of one venue; `publish` is called once per step."""

    def __init__(self, market: Market, venue: Venue, faults: FaultBoard) -> None:
        self._market = market
        self._usdm = venue is Venue.BINANCE_USDM
        self.hub = StreamHub(faults)
        self.frames = {
            index: BinanceFrames(spec, market.config.start_ms)
            for index, spec in enumerate(market.specs)
            if spec.venue is venue
        }
        channels = USDM_CHANNELS if self._usdm else SPOT_CHANNELS
        names = {f"{frames.lower}@{name}" for frames in self.frames.values() for name in channels}
        self._streams = frozenset(names | {ALL_LIQUIDATIONS} if self._usdm else names)
        self._rest = BinanceRest(market, self.frames, usdm=self._usdm)
        self._liquidations = LiquidationSampler()

    def streams(self) -> Collection[str]:
        """Every stream of the listed instruments."""
        return self._streams

    async def subscribe(self, stream: str, sink: FrameSink) -> None:
        """Binance sends no snapshot."""
        self.hub.add(stream, sink)

    async def unsubscribe(self, stream: str, sink: FrameSink) -> None:
        """Stop sending."""
        self.hub.remove(stream, sink)

    async def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer:
        """Answer from the market's present state."""
        return self._rest.answer(path, query)

    def publish(self, events: list[Event]) -> None:
        """Encode what somebody listens to, then what is due by the clock."""
        for event in events:
            match event:
                case Execution() if event.instrument in self.frames:
                    self._executed(event)
                case TopChanged() if event.instrument in self.frames:
                    frames = self.frames[event.instrument]
                    stream = frames.lower + "@bookTicker"
                    if self.hub.wanted(stream):
                        self.hub.publish(stream, frames.top(event))
                case BookChanged() if event.instrument in self.frames:
                    frames = self.frames[event.instrument]
                    stream = frames.lower + "@depth@100ms"
                    if self.hub.wanted(stream):
                        self.hub.publish(stream, frames.depth(event))
                case Print() if event.instrument in self.frames:
                    frames = self.frames[event.instrument]
                    self.hub.publish(frames.lower + "@trade", frames.outside(event))
                case Liquidated() if event.instrument in self.frames:
                    self._liquidations.add(event)
                case _:
                    pass
        self._timed(self._market.now_ms)
        self.hub.release()

    def _executed(self, event: Execution) -> None:
        frames, hub = self.frames[event.instrument], self.hub
        stream = frames.lower + "@trade"
        if hub.wanted(stream):
            for payload in frames.trades(event):
                hub.publish(stream, payload)
        stream = frames.lower + "@aggTrade"
        if hub.wanted(stream):
            for payload in frames.aggregates(event):
                hub.publish(stream, payload)

    def _timed(self, now_ms: int) -> None:
        step_ms = self._market.config.step_ms
        if self._usdm:
            for liquidation in self._liquidations.due(now_ms):
                frames = self.frames[liquidation.instrument]
                payload = frames.liquidation(now_ms, liquidation)
                self.hub.publish(frames.lower + "@forceOrder", payload)
                self.hub.publish(ALL_LIQUIDATIONS, payload)
            if now_ms % 1000 < step_ms:
                self._marks(now_ms, "@markPrice@1s")
            if now_ms % 3000 < step_ms:
                self._marks(now_ms, "@markPrice")
        if now_ms % (2000 if self._usdm else 1000) < step_ms:
            self._days(now_ms)

    def _marks(self, now_ms: int, channel: str) -> None:
        for index, frames in self.frames.items():
            stream = frames.lower + channel
            if self.hub.wanted(stream):
                self.hub.publish(stream, frames.mark(now_ms, mark_of(self._market, index)))

    def _days(self, now_ms: int) -> None:
        for index, frames in self.frames.items():
            stream = frames.lower + "@ticker"
            instrument = self._market.instruments[index]
            if self.hub.wanted(stream) and (day := instrument.day.summary()) is not None:
                self.hub.publish(stream, frames.day(now_ms, day, instrument))
