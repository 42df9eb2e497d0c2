"""What the detector finds in the recorded frames, through ingest's own mapping.

An alert names at most 200 of its fills. Here each capture is read twice, once with that cap lifted:
then every fill of every alert is named, and their exact sum must be its notional. The two readings
must not differ otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from teleglas_common.testing.realdata import realdata_root
from teleglas_ingest.domain.events import Channel, Print, Trade
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.testing import FakeRest, recorded, spot, usdm
from teleglas_ingest.venues import VENUES
from teleglas_whale_detector.domain import instrument as domain_instrument
from teleglas_whale_detector.domain import parents as domain_parents
from teleglas_whale_detector.domain.alerts import Alert
from teleglas_whale_detector.domain.instrument import Instrument
from teleglas_whale_detector.domain.parents import FillRow
from teleglas_whale_detector.domain.sketch import Definition

__all__ = ["capture_table"]

# A capture is minutes long: a shorter warm-up and a lower quantile than in production.
DEFINITION = Definition(quantile=0.99, min_observations=500)
CAPTURES: tuple[tuple[str, str, Callable[[], Market]], ...] = (
    ("binance", "spot_btcusdt_20240808", spot),
    ("binance", "spot_btcusdt_20240809", spot),
    ("binance", "spot_ethusdt_20240808", lambda: spot(symbol="ETH-USDT")),
    ("binance", "spot_ethusdt_20240809", lambda: spot(symbol="ETH-USDT")),
    ("binance-usdm", "usdm_btcusdt_20240718", usdm),
    ("binance-usdm", "usdm_btcusdt_20240719", usdm),
)
SHOWN = 4
TAIL_NS = 120 * 10**9


@dataclass
class Reading:
    """One capture through the detector: its trades by id, and the last revision of each alert."""

    trades: dict[str, Trade] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    refused: int = 0


def capture_table() -> None:
    """Print each capture's largest alerts; ends where fills do not add up to the notional."""
    folder = realdata_root() / "captures" / "binance"
    print(
        f"captures: quantile {DEFINITION.quantile}, warm-up {DEFINITION.min_observations} orders;"
        " exact = all fills named and added up"
    )
    for venue, name, market in CAPTURES:
        path = folder / f"{name}.gz"
        if not path.exists():
            print(f"{name}: not here ({folder})")
            continue
        frames = list(recorded(path))
        capped = _read(venue, market(), frames)
        with _every_fill_named():
            full = _read(venue, market(), frames)
        _compare(capped, full)
        exact = sum(_adds_up(alert, full.trades) for alert in full.alerts.values())
        print(
            f"{name}: {len(full.trades):,} trades, {len(full.alerts)} alerts, {exact} exact,"
            f" {full.refused} prints refused"
        )
        for alert in sorted(full.alerts.values(), key=lambda one: -one.parent.notional)[:SHOWN]:
            print(f"  {_row(alert)}")


@contextmanager
def _every_fill_named() -> Iterator[None]:
    caps = domain_parents.MAX_IDS, domain_instrument.IDS_OF_A_PIECE
    domain_parents.MAX_IDS = domain_instrument.IDS_OF_A_PIECE = 1 << 40
    try:
        yield
    finally:
        domain_parents.MAX_IDS, domain_instrument.IDS_OF_A_PIECE = caps


def _read(venue_id: str, market: Market, frames: list[tuple[int, bytes]]) -> Reading:
    venue: Any = VENUES[venue_id](FakeRest(), "ws://x")
    streams = venue.streams(market, list(Channel))
    routes = venue.routes(streams, {market.instrument.venue_symbol: market})
    instrument = Instrument(venue_id, market.instrument.symbol, DEFINITION)
    instrument.rescale(market.instrument.price_exponent, market.instrument.size_exponent)
    reading = Reading()
    for ts, frame in frames:
        key = venue.key(frame).replace(b"@0ms", b"@100ms")
        for event in routes[key][1](frame, ts) if key in routes else ():
            if isinstance(event, Trade) and event.print == Print.MARKET:
                _take(reading, instrument, event)
    instrument.advance(instrument.clock + TAIL_NS)
    reading.alerts = {alert.id: alert for alert in instrument.out}
    return reading


def _take(reading: Reading, instrument: Instrument, trade: Trade) -> None:
    name = str(trade.sequence)
    reading.trades[name] = trade
    ts = max(trade.ts_event, instrument.clock)
    fill = FillRow(name, int(trade.side), trade.price, trade.size, ts)
    if instrument.refuses(fill) is None:
        instrument.fill(fill)
    else:
        reading.refused += 1


def _compare(capped: Reading, full: Reading) -> None:
    for name in capped.alerts.keys() | full.alerts.keys():
        one, other = capped.alerts.get(name), full.alerts.get(name)
        if one is None or other is None or _facts(one) != _facts(other):
            raise SystemExit(f"expected the same alert {name} whether or not all fills are named")


def _facts(alert: Alert) -> tuple[Any, ...]:
    parent = alert.parent
    return (
        alert.kind, alert.threshold, parent.side, parent.ts_first, parent.ts_last, parent.fills,
        parent.size, parent.notional, parent.levels, parent.orders,
    )  # fmt: skip


def _adds_up(alert: Alert, trades: dict[str, Trade]) -> bool:
    """Whether every fill is named once, of one side, and sums are exact; ends where not."""
    parent = alert.parent
    fills = [trades[name] for name in parent.ids]
    if len(set(parent.ids)) != parent.fills or {int(one.side) for one in fills} != {parent.side}:
        raise SystemExit(f"expected {parent.fills} fills of one side for {alert.id}")
    notional = sum(one.price * one.size for one in fills)
    if (notional, sum(one.size for one in fills)) != (parent.notional, parent.size):
        raise SystemExit(f"expected {parent.notional} as the sum of {alert.id}, was {notional}")
    return True


def _row(alert: Alert) -> str:
    parent = alert.parent
    unit = alert.price_exponent + alert.size_exponent
    notional = Decimal(parent.notional).scaleb(unit)
    over = parent.notional / alert.threshold
    side = "buy" if parent.side == 1 else "sell"
    seconds = (parent.ts_last - parent.ts_first) / 1e9
    return (
        f"{alert.kind.name.lower():<7} {side:<4} {notional:>18,.4f} {over:>6.2f} x threshold"
        f" {parent.fills:>4} fills {parent.levels:>3} levels {seconds:>6.2f} s  {alert.id}"
    )
