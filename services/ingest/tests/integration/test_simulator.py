"""Ingest against the simulator: three venues by their own protocols, well and badly behaved."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

from teleglas.market.v1 import gap_pb2 as gap
from teleglas.market.v1.trade_pb2 import Trade
from teleglas_common.testing.eventually import eventually
from teleglas_contracts import topics
from teleglas_ingest.testing import comes_true

KEYS = {
    "binance:BTC-USDT",
    "binance:ETH-USDT",
    "binance-usdm:BTC-USDT-PERP",
    "okx:BTC-USDT",
    "okx:BTC-USDT-PERP",
    "okx:BTC-USD-PERP",
}


def complete(trades: Iterable[Trade]) -> tuple[int, int]:
    """(missing, repeated) ids between the first and the last."""
    ids = [trade.sequence for trade in trades]
    return max(ids) - min(ids) + 1 - len(set(ids)), len(ids) - len(set(ids))


async def flowing(written: Any, more: int = 20) -> None:
    """Every market has so many trades more than now."""
    before = {key: len(found) for key, found in (await written.trades()).items()}

    async def all_flow() -> bool:
        now = await written.trades()
        return set(now) >= KEYS and all(len(now[k]) >= before.get(k, 0) + more for k in KEYS)

    await comes_true(all_flow, timeout_s=30)


async def test_every_channel_of_every_venue_reaches_its_topic(ingest: Any, written: Any) -> None:
    """Trades, books, tickers, progress and instruments; nothing refused, nothing missing."""
    async with ingest():
        await flowing(written)
    trades, books = await written.trades(), await written.books()
    for key in KEYS:
        missing, repeated = complete(trades[key])
        assert repeated == 0
        assert missing == 0 or key.startswith("binance-usdm")
        assert books[key][0].kind == 1
        for before, update in pairwise(books[key]):
            assert update.book_epoch == before.book_epoch
            assert update.prev_sequence == before.sequence
        if key.endswith("PERP") and key.startswith("okx"):
            assert all(trade.contracts > 0 for trade in trades[key])
    assert await written.dead_letters() == []
    assert await written.gaps() == []
    instruments = await written.messages(topics.MARKET_INSTRUMENTS_V1.name)
    assert len(instruments) == len(KEYS)
    tickers = await written.messages(topics.MARKET_TICKERS_V1.name)
    for field in ("bid_price", "mark_price", "ts_next_funding", "last_price"):
        assert any(t.HasField(field) for t in tickers if type(t).__name__ == "Ticker"), field


async def test_marks_never_pass_a_trade_that_follows_them(ingest: Any, written: Any) -> None:
    """On a well-behaved venue no trade is late against the marks of its source."""
    async with ingest(progress_every_s=0.05):
        await flowing(written, 60)
    marks: dict[tuple[str, str], int] = {}
    late = seen = 0
    for message in await written.messages(topics.MARKET_TRADES_V1.name):
        if type(message).__name__ == "Progress":
            for name in message.instruments:
                key = message.venue, name
                assert message.ts_event >= marks.get(key, 0)
                marks[key] = message.ts_event
        else:
            limit = marks.get((message.venue, message.instrument), 0)
            seen += len(message.trades)
            late += sum(trade.ts_event <= limit for trade in message.trades)
    assert seen > 300
    assert late == 0
    assert len(marks) == len(KEYS)


async def test_dropped_repeated_and_reordered_trades_end_complete(
    ingest: Any, written: Any, venues: Any
) -> None:
    """Holes are backfilled and named; no id appears twice."""
    async with ingest():
        await flowing(written)
        for venue, match in (("binance", "*@trade"), ("okx", "trades-all*")):
            await venues.fault(venue, kind="drop", match=match, count=6, every=5)
            await venues.fault(venue, kind="repeat", match=match, count=10, every=2)
            await venues.fault(venue, kind="reorder", match=match, count=10)
        await venues.fault("binance-usdm", kind="drop", match="*@trade", count=4, every=5)
        await flowing(written, 60)
        await comes_true(lambda: _resolved(written), timeout_s=20)
    for key, trades in (await written.trades()).items():
        missing, repeated = complete(trades)
        assert repeated == 0, key
        assert missing == 0 or key.startswith("binance-usdm"), key
    gaps = await written.gaps()
    assert {g.cause for g in gaps} == {gap.GAP_CAUSE_SEQUENCE_BREAK}
    assert any(trade.backfilled for found in (await written.trades()).values() for trade in found)


async def test_dropped_deltas_resync_every_book(ingest: Any, written: Any, venues: Any) -> None:
    """Each rule of continuity sees its break; the new epoch begins with a snapshot."""
    async with ingest():
        await flowing(written)
        await venues.fault("binance", kind="drop", match="btcusdt@depth*", count=2)
        await venues.fault("binance-usdm", kind="drop", match="btcusdt@depth*", count=2)
        await venues.fault("okx", kind="drop", match="books:BTC-USDT", count=2)
        keys = {"binance:BTC-USDT", "binance-usdm:BTC-USDT-PERP", "okx:BTC-USDT"}

        async def resynced() -> bool:
            done = [g for g in await written.gaps() if g.resolution == 3]
            return keys <= {f"{g.venue}:{g.instrument}" for g in done}

        await comes_true(resynced, timeout_s=30)
    for key, updates in (await written.books()).items():
        for before, update in pairwise(updates):
            if update.book_epoch != before.book_epoch:
                assert update.kind == 1, key
            else:
                assert update.prev_sequence == before.sequence, key


async def test_a_disconnect_is_named_and_repaired(ingest: Any, written: Any, venues: Any) -> None:
    """Trades are fetched, books resynced, lost liquidations said to be lost."""
    async with ingest():
        await flowing(written)
        for venue in venues.urls:
            await venues.fault(venue, kind="disconnect")
        await flowing(written, 40)
        await comes_true(lambda: _resolved(written), timeout_s=30)
    gaps = await written.gaps()
    assert {g.cause for g in gaps} >= {gap.GAP_CAUSE_DISCONNECT}
    for key, trades in (await written.trades()).items():
        missing, repeated = complete(trades)
        assert repeated == 0, key
        assert missing == 0 or key.startswith("binance-usdm"), key


async def test_an_acknowledged_silence_is_named_and_subscribed_again(
    ingest: Any, written: Any, venues: Any
) -> None:
    """What is acknowledged and never served is a gap of its cause, and comes back by itself."""
    await venues.fault("binance-usdm", kind="silence", match="btcusdt@depth*", duration_s=10)
    await venues.fault("okx", kind="silence", match="books:BTC-USDT", duration_s=10)
    async with ingest(silence_patience=0.05):

        async def back() -> bool:
            books = await written.books()
            return {"binance-usdm:BTC-USDT-PERP", "okx:BTC-USDT"} <= set(books)

        await comes_true(back, timeout_s=40)
    silent = {
        f"{g.venue}:{g.instrument}"
        for g in await written.gaps()
        if g.cause == gap.GAP_CAUSE_SUBSCRIPTION and g.channel == 2
    }
    assert silent >= {"binance-usdm:BTC-USDT-PERP", "okx:BTC-USDT"}


async def test_a_renewal_of_every_connection_loses_and_repeats_nothing(
    ingest: Any, written: Any
) -> None:
    """Made before broken: no gap, no repeat, one source all along."""
    async with ingest(connection_max_age_s=1.5):
        await flowing(written, 120)
    for key, trades in (await written.trades()).items():
        missing, repeated = complete(trades)
        assert repeated == 0, key
        assert missing == 0 or key.startswith("binance-usdm"), key
    assert await written.gaps() == []


async def test_a_new_process_goes_on_where_the_last_one_stopped(
    ingest: Any, written: Any, venues: Any
) -> None:
    """What was traded between the two is fetched; the sources' epochs grow; nothing comes twice."""
    async with ingest():
        await flowing(written)
    stopped = {
        key: max(t.sequence for t in found) for key, found in (await written.trades()).items()
    }
    marks = [m for m in await written.progress() if m.retired]
    assert {name for m in marks for name in m.instruments} >= {"BTC-USDT", "BTC-USD-PERP"}

    async def traded_on() -> bool:
        newest: int = await venues.newest_spot_trade("BTCUSDT")
        return bool(newest > stopped["binance:BTC-USDT"])

    await comes_true(traded_on, timeout_s=30)
    async with ingest():
        await flowing(written)
        await comes_true(lambda: _resolved(written), timeout_s=20)
    trades = await written.trades()
    for key in KEYS:
        missing, repeated = complete(trades[key])
        assert repeated == 0, key
        assert missing == 0 or key.startswith("binance-usdm"), key
    fetched = [t for key in KEYS for t in trades[key] if t.backfilled]
    assert fetched
    assert all(t.sequence > min(stopped.values()) for t in fetched)
    assert gap.GAP_CAUSE_RESTART in {g.cause for g in await written.gaps()}


async def test_a_rolling_hand_over_makes_before_it_breaks(
    ingest: Any, written: Any, leases: Any
) -> None:
    """The next owner is connected before the last lets go: nothing lost, nothing twice."""
    async with AsyncExitStack() as second:
        async with ingest(leases, owner="a"):
            await flowing(written)
            app = await second.enter_async_context(ingest(leases, owner="b"))
            await eventually(lambda: all(o.is_standing_by for o in app.venues.owners))
            await flowing(written)
        await flowing(written)
    found = await written.messages(topics.MARKET_TRADES_V1.name)
    batches = [message for message in found if type(message).__name__ == "TradeBatch"]
    assert {batch.writer_epoch for batch in batches} == {1, 2}
    for key, trades in (await written.trades()).items():
        missing, repeated = complete(trades)
        assert repeated == 0, key
        assert missing == 0 or key.startswith("binance-usdm"), key
    for key, updates in (await written.books()).items():
        for before, update in pairwise(updates):
            if update.book_epoch != before.book_epoch:
                assert (update.kind, update.writer_epoch) == (1, 2), key
            else:
                assert update.prev_sequence == before.sequence, key


async def _resolved(written: Any) -> bool:
    """The last revision of every gap is no more open."""
    last = {g.id: g.resolution for g in await written.gaps()}
    return bool(last) and gap.GAP_RESOLUTION_OPEN not in last.values()
