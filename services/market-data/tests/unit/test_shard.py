"""The service on the in-memory bus: captures, crashes, batch borders."""

from __future__ import annotations

from typing import Any

import pytest
from market_data_captures import counted_candles, spot_trades
from market_data_frames import BTC, generated, quotes, stream, values
from market_data_rig import FakeStore, Rig, events, last_candles

from teleglas_common.testing.realdata import realdata
from teleglas_contracts import topics


def capture() -> list[dict[str, Any]]:
    folder = realdata("captures", "binance")
    return spot_trades([folder / f"spot_btcusdt_2024080{day}.gz" for day in (8, 9)])


@pytest.mark.realdata
async def test_candles_of_the_capture_equal_an_independent_count() -> None:
    """Every candle over midnight equals what the raw frames say, exactly, and is complete."""
    frames = capture()
    rig = Rig()
    await rig.create()
    await rig.send(stream(frames, 7))
    await rig.drain()
    candles = await last_candles(rig.bus)
    for interval in ("1s", "1m", "5m", "15m", "1h", "4h", "1d"):
        expected = counted_candles(frames, interval)
        found = {
            ts: candle
            for (market, name, ts), candle in candles.items()
            if market == f"binance:{BTC}" and name == interval and candle.trades
        }
        assert {ts: values(candle) for ts, candle in found.items()} == expected
        assert all(candle.completeness == 1.0 for candle in found.values())
    assert isinstance(rig.store, FakeStore)
    assert len(rig.store.trades) == len(frames)


async def test_crashes_and_other_batch_borders_leave_the_same_events() -> None:
    """A run that is killed again and again ends with the events of one that was not."""
    frames = generated()
    calm = Rig()
    await calm.create()
    await calm.send([*stream(frames, 64), *quotes(frames)])
    await calm.drain()
    rough = Rig(checkpoint_s=0.001, turn_records=3)
    await rough.create()
    await rough.send([*stream(frames, 5), *quotes(frames)])
    for saves in (1, 3, 2, 5, 1, 4):
        await rough.run_and_crash(saves)
    await rough.drain()
    for topic in (topics.MARKET_CANDLES_V1, topics.MARKET_SUMMARIES_V1):
        expected = await events(calm.bus, topic)
        assert len(expected) > 50
        assert await events(rough.bus, topic) == expected
    assert isinstance(rough.store, FakeStore)
    assert isinstance(calm.store, FakeStore)
    assert rough.store.trades == calm.store.trades
    assert rough.store.repeated == 0
