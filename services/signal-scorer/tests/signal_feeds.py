"""Candles and alerts as market-data and whale-detector would write them: a market that is a pure
function of a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.types_pb2 import SIDE_BUY, SIDE_SELL
from teleglas.whale.v1.whale_pb2 import WHALE_KIND_SWEEP, WhaleAlert
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import Outgoing
from teleglas_contracts import topics

__all__ = ["BEGIN", "BTC", "SECOND", "Market", "alert", "candle", "mark", "record"]

BTC = "BTC-USDT"
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
BEGIN = 1_735_689_600_000_000_000
LENGTHS = {"1s": SECOND, "1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE}


def candle(
    interval: str,
    ts_open: int,
    prices: tuple[int, int, int, int],
    volume: int,
    bought: int,
    *,
    trades: int = 1,
    revision: int = 0,
    instrument: str = BTC,
    completeness: float = 1.0,
) -> Candle:
    """A closed candle of the composite; prices in 1e-4, sizes in 1e-3."""
    return Candle(
        venue="composite",
        instrument=instrument,
        interval=interval,
        ts_open=ts_open,
        ts_close=ts_open + LENGTHS[interval],
        price_exponent=-4,
        size_exponent=-3,
        quote_exponent=-7,
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        volume=volume,
        quote_volume=volume * prices[3],
        taker_buy_volume=bought,
        taker_buy_quote_volume=bought * prices[3],
        trades=trades,
        is_closed=True,
        revision=revision,
        completeness=completeness,
    )


def alert(
    number: int, ts_event: int, notional: int, *, revision: int = 0, instrument: str = BTC
) -> WhaleAlert:
    """A whale; `notional` in whole quote units, below 0 for a seller."""
    return WhaleAlert(
        id=f"binance:{instrument}:{number}",
        revision=revision,
        venue="binance",
        instrument=instrument,
        kind=WHALE_KIND_SWEEP,
        side=SIDE_BUY if notional > 0 else SIDE_SELL,
        price_exponent=-2,
        size_exponent=-3,
        quote_exponent=0,
        notional=abs(notional),
        size=1,
        vwap=1,
        percentile=0.99,
        ts_event=ts_event,
    )


def mark(ts_event: int, *, instrument: str = BTC, venue: str = "binance") -> Progress:
    """All alerts up to this time were written."""
    return Progress(
        venue=venue,
        source="whale-detector/0",
        writer_epoch=1,
        ts_event=ts_event,
        instruments=[instrument],
        lease_ns=10 * SECOND,
    )


def record(message: Candle | WhaleAlert | Progress) -> Outgoing:
    """The message on its topic."""
    if isinstance(message, Candle):
        key = f"{message.venue}:{message.instrument}:{message.interval}"
        event_id = f"{key}:{message.ts_open}"
        topic, subject = topics.MARKET_CANDLES_V1, message.instrument
        return outgoing(topic, message, key=key, subject=subject, now_ns=0, event_id=event_id)
    topic = topics.WHALE_ALERTS_V1
    if isinstance(message, WhaleAlert):
        own = message.id
        return outgoing(topic, message, key=own, subject=message.instrument, now_ns=0, event_id=own)
    return outgoing(topic, message, key=message.source, subject=message.instruments[0], now_ns=0)


@dataclass
class Market:
    """Seconds, minutes and longer candles of one instrument, and its whales."""

    seed: int = 1
    instrument: str = BTC
    late_share: float = 0.02
    quiet_share: float = 0.1
    price: int = 1_000_000
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed}:{self.instrument}")

    def candles(self, minutes: int) -> list[Candle]:
        """In the order in which market-data publishes them, with late revisions in between."""
        found: list[Candle] = []
        parts: dict[str, list[Candle]] = {"1m": [], "5m": [], "15m": []}
        for minute in range(minutes):
            begin = BEGIN + minute * MINUTE
            seconds = list(self._seconds(begin))
            found += seconds
            found.append(self._merged("1m", begin, seconds))
            for name, length in (("5m", 5), ("15m", 15)):
                parts[name].append(found_minute(found))
                if (minute + 1) % length == 0:
                    begin_long = begin - (length - 1) * MINUTE
                    found.append(self._merged(name, begin_long, parts[name]))
                    parts[name].clear()
            found += self._late(seconds)
        return found

    def alerts(self, minutes: int) -> list[WhaleAlert | Progress]:
        """Alerts, each revised once, and a mark each second."""
        rng = random.Random(f"{self.seed}:whales:{self.instrument}")
        found: list[WhaleAlert | Progress] = []
        revisions: list[WhaleAlert] = []
        for second in range(minutes * 60):
            ts = BEGIN + second * SECOND
            for one in [r for r in revisions if r.ts_event <= ts + SECOND]:
                revisions.remove(one)
                found.append(one)
            if rng.random() < 0.02:
                notional = rng.choice((1, -1)) * rng.randrange(10_000, 90_000)
                first = alert(second, ts + SECOND // 2, notional, instrument=self.instrument)
                found.append(first)
                later = alert(
                    second, ts + 5 * SECOND, 2 * notional, revision=1, instrument=self.instrument
                )
                revisions.append(later)
            found.append(mark(ts + SECOND, instrument=self.instrument))
        return found

    def _seconds(self, begin: int) -> Iterator[Candle]:
        rng = self._rng
        for at in range(60):
            if rng.random() < self.quiet_share:
                continue
            opened = self.price
            self.price = max(1_000, opened + rng.randrange(-400, 401))
            high, low = max(opened, self.price) + 10, min(opened, self.price) - 10
            volume = rng.randrange(1, 2_000)
            prices = (opened, high, low, self.price)
            yield candle(
                "1s",
                begin + at * SECOND,
                prices,
                volume,
                rng.randrange(volume + 1),
                instrument=self.instrument,
            )

    def _late(self, seconds: Sequence[Candle]) -> Iterator[Candle]:
        for one in seconds:
            if self._rng.random() < self.late_share:
                later = Candle()
                later.CopyFrom(one)
                later.volume += 500
                later.taker_buy_volume += 500
                later.revision = 1
                yield later

    def _merged(self, interval: str, begin: int, parts: Sequence[Candle]) -> Candle:
        traded = [part for part in parts if part.trades]
        if not traded:
            flat = (self.price,) * 4
            return candle(interval, begin, flat, 0, 0, trades=0, instrument=self.instrument)
        prices = (
            traded[0].open,
            max(part.high for part in traded),
            min(part.low for part in traded),
            traded[-1].close,
        )
        return candle(
            interval,
            begin,
            prices,
            sum(part.volume for part in traded),
            sum(part.taker_buy_volume for part in traded),
            trades=sum(part.trades for part in traded),
            instrument=self.instrument,
        )


def found_minute(found: Sequence[Candle]) -> Candle:
    """The newest minute."""
    return next(one for one in reversed(found) if one.interval == "1m")
