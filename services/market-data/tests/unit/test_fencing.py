"""Which writer of a source counts."""

from __future__ import annotations

from typing import Any

from market_data_captures import batches
from market_data_frames import BTC, generated
from market_data_rig import FakeStore, Rig, raw

from teleglas.market.v1.gap_pb2 import Gap
from teleglas.market.v1.liquidation_pb2 import Liquidation
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_contracts import topics


def batch_of(writer_epoch: int, first: int) -> TradeBatch:
    """Four trades from `first` on."""
    (batch,) = batches(generated(100)[first : first + 4], BTC, 4)
    batch.writer_epoch = writer_epoch
    return batch


def ticker_of(batch: TradeBatch, writer_epoch: int) -> Ticker:
    return Ticker(
        venue=batch.venue,
        instrument=batch.instrument,
        source=batch.source,
        writer_epoch=writer_epoch,
        ts_event=batch.trades[0].ts_event,
        last_price=1,
    )


async def stored(*records: tuple[object, ...]) -> int:
    """How many trades a service stores that reads these topics one behind the other."""
    rig = Rig()
    await rig.create()
    for topic, message in records:
        await rig.send([raw(topic, message, BTC)])  # type: ignore[arg-type]
        await rig.drain()
    assert isinstance(rig.store, FakeStore)
    return len(rig.store.trades)


async def test_a_newer_owner_on_another_topic_does_not_void_what_is_still_to_read() -> None:
    """After a crash one topic is read ahead: the backlog of the others counts all the same."""
    old = batch_of(1, 0)
    ahead = (topics.MARKET_TICKERS_V1, ticker_of(old, 2))
    assert await stored(ahead, (topics.MARKET_TRADES_V1, old)) == 4


async def test_an_older_owner_behind_a_newer_one_does_not_count() -> None:
    """On one topic the order is the order: what a fenced owner still wrote is dropped."""
    new, old = batch_of(2, 0), batch_of(1, 50)
    trades = topics.MARKET_TRADES_V1
    assert await stored((trades, new), (trades, old)) == 4


async def test_liquidations_and_gaps_of_an_older_owner_do_not_count() -> None:
    """What a fenced owner still says about a source is dropped on every topic."""
    rig = Rig()
    await rig.create()
    for epoch in (2, 1):
        about: dict[str, Any] = {
            "venue": "binance",
            "instrument": BTC,
            "source": "s",
            "writer_epoch": epoch,
        }
        liquidation = Liquidation(id=f"l{epoch}", price=1, size=1, ts_event=10**18, **about)
        gap = Gap(id=f"g{epoch}", ts_from=1, ts_to=2, **about)
        await rig.send(
            [
                raw(topics.MARKET_LIQUIDATIONS_V1, liquidation, BTC),
                raw(topics.MARKET_GAPS_V1, gap, BTC),
            ]
        )
    await rig.drain()
    assert isinstance(rig.store, FakeStore)
    assert [Liquidation.FromString(one).id for one in rig.store.liquidations] == ["l2"]
    assert [Gap.FromString(one).id for one in rig.store.gaps] == ["g2"]
