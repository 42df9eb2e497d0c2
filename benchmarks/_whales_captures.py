"""What the detector finds in the recorded frames, through ingest's own mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from teleglas_common.testing.realdata import realdata_root
from teleglas_ingest.domain.events import Channel, Trade
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.testing import FakeRest, recorded, spot, usdm
from teleglas_ingest.venues import VENUES
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
    ("binance", "spot_ethusdt_20240809", lambda: spot(symbol="ETH-USDT")),
    ("binance-usdm", "usdm_btcusdt_20240719", usdm),
)
SHOWN = 4


def capture_table() -> None:
    """Print each capture's largest alerts; raises where fills do not add up to the notional."""
    folder = realdata_root() / "captures" / "binance"
    for venue, name, market in CAPTURES:
        path = folder / f"{name}.gz"
        if not path.exists():
            print(f"{name}: not here ({folder})")
            continue
        _one(venue, name, market(), recorded(path))


def _one(venue_id: str, name: str, market: Market, frames: Iterable[tuple[int, bytes]]) -> None:
    venue: Any = VENUES[venue_id](FakeRest(), "ws://x")
    streams = venue.streams(market, list(Channel))
    routes = venue.routes(streams, {market.instrument.venue_symbol: market})
    instrument = Instrument(venue_id, market.instrument.symbol, DEFINITION)
    instrument.rescale(market.instrument.price_exponent, market.instrument.size_exponent)
    trades: dict[str, Trade] = {}
    for ts, frame in frames:
        key = venue.key(frame).replace(b"@0ms", b"@100ms")
        for event in routes[key][1](frame, ts) if key in routes else ():
            if isinstance(event, Trade):
                trades[str(event.sequence)] = event
                fill = FillRow(
                    str(event.sequence), int(event.side), event.price, event.size,
                    max(event.ts_event, instrument.clock),
                )  # fmt: skip
                if instrument.refuses(fill) is None:
                    instrument.fill(fill)
    instrument.advance(instrument.clock + 120 * 10**9)
    last = {alert.id: alert for alert in instrument.out}
    exact = sum(_adds_up(alert, trades) for alert in last.values())
    print(
        f"{name}: {len(trades):,} trades, {len(last)} alerts, all fills of {exact} named and"
        " added up"
    )
    largest = sorted(last.values(), key=lambda alert: -alert.parent.notional)
    for alert in largest[:SHOWN]:
        parent = alert.parent
        notional = Decimal(parent.notional).scaleb(alert.price_exponent + alert.size_exponent)
        side = "buy" if parent.side == 1 else "sell"
        seconds = (parent.ts_last - parent.ts_first) / 1e9
        print(
            f"  {alert.kind.name.lower():<7} {side:<4} {notional:>18,.4f} {parent.fills:>4} fills"
            f" {parent.levels:>3} levels {seconds:>6.2f} s  {alert.id}"
        )


def _adds_up(alert: Alert, trades: dict[str, Trade]) -> bool:
    """Whether every fill is named; then their exact sum must be the notional."""
    parent = alert.parent
    if len(parent.ids) != parent.fills:
        return False
    total = sum(trades[name].price * trades[name].size for name in parent.ids)
    if total != parent.notional:
        raise SystemExit(f"expected {parent.notional} as the sum of {alert.id}, was {total}")
    return True
