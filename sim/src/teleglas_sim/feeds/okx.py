"""The market as OKX's channels."""

from collections.abc import Callable, Collection, Mapping

from teleglas_sim.feeds.okx_book import PublishedBook
from teleglas_sim.feeds.okx_frames import OkxFrames
from teleglas_sim.feeds.okx_rest import OkxRest
from teleglas_sim.feeds.perpetual import LiquidationSampler, mark_of
from teleglas_sim.market.catalog import Venue
from teleglas_sim.market.events import BookChanged, Event, Execution, Liquidated
from teleglas_sim.market.market import Market
from teleglas_sim.server import FaultBoard, Frame, FrameSink, RestAnswer, StreamHub

__all__ = ["OkxFeed"]

CHANNELS = ("trades", "trades-all", "books", "tickers")
SWAP_CHANNELS = (*CHANNELS, "mark-price", "funding-rate", "open-interest")
LIQUIDATIONS = "liquidation-orders:SWAP"
TICKER_MS, MARK_MS, FUNDING_MS, OPEN_INTEREST_MS = 100, 200, 60_000, 3_000
REPEAT_MS = {"mark-price": 10_000}
NEVER_MS = 10**15


class OkxFeed:
    """Serves OKX's instruments; `publish` is called once per step."""

    def __init__(self, market: Market, faults: FaultBoard, *, checksums: bool) -> None:
        self._market = market
        self.hub = StreamHub(faults)
        self.frames = {
            index: OkxFrames(spec, market.config.start_ms)
            for index, spec in enumerate(market.specs)
            if spec.venue is Venue.OKX
        }
        self._by_id = {frames.inst_id: index for index, frames in self.frames.items()}
        self.books = {
            index: PublishedBook(
                frames, market.instruments[index].book, market.now_ms, checksums=checksums
            )
            for index, frames in self.frames.items()
        }
        streams = {LIQUIDATIONS}
        for frames in self.frames.values():
            names = SWAP_CHANNELS if frames.spec.perpetual else CHANNELS
            streams |= {f"{name}:{frames.inst_id}" for name in names}
        self._streams = frozenset(streams)
        self._rest = OkxRest(market, self.frames)
        self._liquidations = LiquidationSampler()
        self._states: dict[str, Callable[[int], object]] = {
            "tickers": self._ticker_state,
            "mark-price": self._mark_price,
            "open-interest": lambda index: market.instruments[index].open_interest,
        }
        self._said: dict[tuple[str, int], tuple[object, int]] = {}
        self._first: dict[str, Callable[[int], bytes | None]] = {
            "books": lambda index: self.books[index].snapshot(),
            "tickers": self._ticker,
            "mark-price": self._mark,
            "funding-rate": self._funding,
            "open-interest": self._open_interest,
        }

    def streams(self) -> Collection[str]:
        """Every channel of the listed instruments."""
        return self._streams

    async def subscribe(self, stream: str, sink: FrameSink) -> None:
        """Send the present state first where the channel has one, then what changes."""
        channel, _, inst_id = stream.partition(":")
        first = self._first.get(channel)
        if first is not None:
            payload = first(self._by_id[inst_id])
            if payload is not None:
                sink.send(Frame(stream, payload))
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
                case BookChanged() if event.instrument in self.frames:
                    payload = self.books[event.instrument].update(event.diff, event.ts_ms)
                    self._send("books", event.instrument, payload)
                case Liquidated() if event.instrument in self.frames:
                    self._liquidations.add(event)
                case _:
                    pass
        self._timed(self._market.now_ms)
        self.hub.release()

    def _executed(self, event: Execution) -> None:
        frames, hub = self.frames[event.instrument], self.hub
        stream = "trades:" + frames.inst_id
        if hub.wanted(stream):
            for payload in frames.trades(event):
                hub.publish(stream, payload)
        stream = "trades-all:" + frames.inst_id
        if hub.wanted(stream):
            for payload in frames.all_trades(event):
                hub.publish(stream, payload)

    def _timed(self, now_ms: int) -> None:
        for liquidation in self._liquidations.due(now_ms):
            frames = self.frames[liquidation.instrument]
            self.hub.publish(LIQUIDATIONS, frames.liquidation(liquidation))
        timers = (
            (TICKER_MS, "tickers", self._ticker),
            (MARK_MS, "mark-price", self._mark),
            (FUNDING_MS, "funding-rate", self._funding),
            (OPEN_INTEREST_MS, "open-interest", self._open_interest),
            (1_000, "books", lambda index: self.books[index].heartbeat(now_ms)),
        )
        for interval_ms, channel, make in timers:
            if now_ms % interval_ms >= self._market.config.step_ms:
                continue
            for index, frames in self.frames.items():
                news = self._is_news(channel, index)
                if news and self.hub.wanted(f"{channel}:{frames.inst_id}"):
                    payload = make(index)
                    if payload is not None:
                        self._send(channel, index, payload)

    def _send(self, channel: str, index: int, payload: bytes) -> None:
        self.hub.publish(f"{channel}:{self.frames[index].inst_id}", payload)

    def _ticker(self, index: int) -> bytes | None:
        instrument = self._market.instruments[index]
        day = instrument.day.summary()
        if day is None:
            return None
        return self.frames[index].ticker(self._market.now_ms, day, instrument)

    def _is_news(self, channel: str, index: int) -> bool:
        """OKX does not repeat what has not changed, except a mark price after a while."""
        state_of = self._states.get(channel)
        if state_of is None:
            return True
        state, now_ms = state_of(index), self._market.now_ms
        said, said_ms = self._said.get((channel, index), (None, now_ms))
        if state == said and now_ms - said_ms < REPEAT_MS.get(channel, NEVER_MS):
            return False
        self._said[channel, index] = (state, now_ms)
        return True

    def _ticker_state(self, index: int) -> object:
        instrument = self._market.instruments[index]
        return instrument.day.last_id, instrument.book.top()

    def _mark_price(self, index: int) -> object:
        return round(mark_of(self._market, index).mark, self.frames[index].spec.price_decimals)

    def _mark(self, index: int) -> bytes:
        return self.frames[index].mark(self._market.now_ms, mark_of(self._market, index))

    def _funding(self, index: int) -> bytes:
        return self.frames[index].funding(self._market.now_ms, mark_of(self._market, index))

    def _open_interest(self, index: int) -> bytes:
        contracts = self._market.instruments[index].open_interest
        price = mark_of(self._market, index).mark
        return self.frames[index].open_interest(self._market.now_ms, contracts, price)
