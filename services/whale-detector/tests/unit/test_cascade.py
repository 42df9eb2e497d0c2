"""Forced orders in a row."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message
from whale_detector_rig import Log, Rig, forced, mark

from teleglas.market.v1.types_pb2 import SIDE_BUY, SIDE_SELL
from teleglas.whale.v1.whale_pb2 import WHALE_KIND_LIQUIDATION_CASCADE
from teleglas_contracts import topics

PERP = "BTC-USDT-PERP"
SOURCE = "binance/0/liquidations-0"


def fed(messages: Iterable[Message]) -> Rig:
    rig, log = Rig(), Log()
    log.add(topics.MARKET_LIQUIDATIONS_V1, messages, PERP)
    rig.feed(log.records[topics.MARKET_LIQUIDATIONS_V1.name])
    return rig


def lone(count: int = 8) -> list[Message]:
    return [forced(n * 60_000, side=(SIDE_BUY, SIDE_SELL)[n % 2]) for n in range(count)]


def crowd(ts_ms: int, count: int) -> list[Message]:
    return [forced(ts_ms + n * 1_000, size=50_000 + n) for n in range(count)]


def test_cascade_is_announced_at_its_third_order_and_is_a_lower_bound() -> None:
    """A sampled feed shows less than there was, and the alert says so."""
    rig = fed([*lone(), *crowd(1_000_000, 3)])
    (alert,) = rig.alerts
    assert alert.kind == WHALE_KIND_LIQUIDATION_CASCADE
    assert alert.lower_bound
    assert alert.fills == 3
    assert alert.notional == 6_000_000 * (50_000 + 50_001 + 50_002)


def test_forced_orders_far_apart_are_no_cascade() -> None:
    """Three orders a minute apart are three."""
    assert fed([*lone(), *(forced(1_000_000 + n * 60_000) for n in range(3))]).alerts == []


def test_cascade_of_an_unknown_instrument_is_not_announced() -> None:
    """Warm-up holds here too."""
    assert fed(crowd(0, 6)).alerts == []


def test_repeated_forced_order_counts_once() -> None:
    """The venue's feed may repeat itself."""
    twice = [one for one in crowd(1_000_000, 2) for _ in range(2)]
    rig = fed([*lone(), *twice, mark(2_000_000, [PERP], SOURCE)])
    assert rig.alerts == []
    assert rig.ignored("repeated") == 2
