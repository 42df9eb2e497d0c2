"""The bounds of what waits to be published."""

from __future__ import annotations

from teleglas_ingest.domain.events import Channel, Trade
from teleglas_ingest.pipeline.outbox import MAX_HELD_TRADES, DeadFrame, Outbox, TradesOut
from teleglas_ingest.testing import spot

MARKET = spot()


def dead(size: int) -> DeadFrame:
    return DeadFrame("binance", Channel.TRADES, "BTC-USDT", b"x" * size, "bad", "", "s", 1)


def test_large_frames_press_by_their_bytes() -> None:
    """A few thousand refused frames of a MiB each would be gigabytes."""
    outbox = Outbox(high=1_000, low=10, high_bytes=10_000)
    pressed: list[bool] = []
    outbox.on_pressure(pressed.append)
    for _ in range(3):
        outbox.put(dead(3_000))
    assert pressed == [True]
    outbox.take_now(1)
    assert pressed == [True]
    outbox.take_now(2)
    assert pressed == [True, False]
    assert not outbox.pressed


def test_what_a_reserve_holds_is_bounded_by_trades() -> None:
    """Batches hold between one trade and hundreds: their number bounds nothing."""
    outbox = Outbox()
    outbox.hold()
    trades = [Trade(MARKET, n, 1, 1, 1, n, 0) for n in range(1_000)]
    for _ in range(MAX_HELD_TRADES // 1_000 + 5):
        outbox.put(TradesOut(MARKET, list(trades), "s"))
    assert len(outbox.release()) == MAX_HELD_TRADES // 1_000
