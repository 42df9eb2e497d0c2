"""What the topics hold at the end of a run, counted once each."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from google.protobuf.message import Message

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.gap_pb2 import Gap
from teleglas.market.v1.trade_pb2 import Trade, TradeBatch
from teleglas.notification.v1.notification_pb2 import Delivery, DeliveryStatus
from teleglas.prediction.v1.prediction_pb2 import Forecast
from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas.whale.v1.whale_pb2 import WhaleAlert, WhaleKind
from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import PoisonError, Record

__all__ = ["Intervals", "Tally"]

NS_PER_S = 1_000_000_000
KINDS = {number: name[11:].lower() for name, number in WhaleKind.items()}
STATUSES = {number: name[16:].lower() for name, number in DeliveryStatus.items()}


@dataclass(slots=True)
class Intervals:
    """A set of integers kept as sorted runs: a few bytes where ids count up without holes."""

    firsts: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)

    def add(self, value: int) -> None:
        """Put `value` in; a run that it touches grows, two that it joins become one."""
        at = bisect_right(self.firsts, value)
        if at and value <= self.lasts[at - 1]:
            return
        follows = at > 0 and self.lasts[at - 1] == value - 1
        precedes = at < len(self.firsts) and self.firsts[at] == value + 1
        if follows and precedes:
            self.lasts[at - 1] = self.lasts.pop(at)
            self.firsts.pop(at)
        elif follows:
            self.lasts[at - 1] = value
        elif precedes:
            self.firsts[at] = value
        else:
            self.firsts.insert(at, value)
            self.lasts.insert(at, value)

    @property
    def size(self) -> int:
        """How many integers are in it."""
        return sum(self.lasts) - sum(self.firsts) + len(self.firsts)


@dataclass(slots=True)
class Tally:
    """Distinct events of each kind, by what tells them apart; records that made no sense.

    `alerts` maps an id to its kind, `scores` to its instrument, `forecasts` to its horizon in s,
    `deliveries` to what last became of it.
    """

    numbered: dict[str, Intervals] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)
    candles: Counter[str] = field(default_factory=Counter)
    gaps: set[str] = field(default_factory=set)
    alerts: dict[str, str] = field(default_factory=dict)
    scores: dict[str, str] = field(default_factory=dict)
    forecasts: dict[str, str] = field(default_factory=dict)
    deliveries: dict[str, str] = field(default_factory=dict)
    undecodable: int = 0
    _candle_ids: set[tuple[str, str, str, int]] = field(default_factory=set)

    def add(self, records: Iterable[Record]) -> None:
        """Count records of the topics that a summary is about."""
        for record in records:
            try:
                message = decode(record)
            except PoisonError:
                self.undecodable += 1
                continue
            self._message(message)

    def _message(self, message: Message) -> None:
        match message:
            case TradeBatch():
                market = f"{message.venue}:{message.instrument}"
                for trade in message.trades:
                    self._trade(market, trade)
            case Candle():
                self._candle(message)
            case Gap():
                self.gaps.add(message.id)
            case WhaleAlert():
                self.alerts[message.id] = KINDS.get(message.kind, "unknown")
            case SignalScore():
                self.scores[message.id] = message.instrument
            case Forecast():
                self.forecasts[message.id] = str(message.horizon_ns // NS_PER_S)
            case Delivery():
                self.deliveries[message.id] = STATUSES.get(message.status, "unknown")

    @property
    def trades(self) -> dict[str, int]:
        """Distinct trades of each `venue:instrument`."""
        total = Counter({market: ids.size for market, ids in self.numbered.items()})
        total.update({market: len(ids) for market, ids in self.named.items()})
        return dict(sorted(total.items()))

    def _trade(self, market: str, trade: Trade) -> None:
        if trade.HasField("sequence"):
            self.numbered.setdefault(market, Intervals()).add(trade.sequence)
        else:
            self.named.setdefault(market, set()).add(trade.id)

    def _candle(self, candle: Candle) -> None:
        event = (candle.venue, candle.instrument, candle.interval, candle.ts_open)
        if event not in self._candle_ids:
            self._candle_ids.add(event)
            self.candles[candle.interval] += 1
