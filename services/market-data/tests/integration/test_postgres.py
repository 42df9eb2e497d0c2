"""The service on PostgreSQL: migrations, checkpoints, late revisions, queries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import asyncpg
import grpc
import pytest
import pytest_asyncio
from market_data_captures import batches, counted_candles, progress
from market_data_frames import BTC, MS, generated, quotes, stream, values
from market_data_rig import Rig, raw
from pydantic import SecretStr

from teleglas.market.v1 import service_pb2 as pb
from teleglas.market.v1.service_pb2_grpc import (
    MarketDataStub,
    add_MarketDataServicer_to_server,
)
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.principal import authenticator
from teleglas_common.settings import GrpcSection, PostgresSection
from teleglas_common.telemetry import Metrics
from teleglas_contracts import topics
from teleglas_market_data.adapters.grpc_service import ERRORS, MarketDataService
from teleglas_market_data.adapters.pieces import TimePieces
from teleglas_market_data.adapters.queries import Queries
from teleglas_market_data.adapters.requests import Symbols
from teleglas_market_data.adapters.store import PostgresStore
from teleglas_market_data.app import MIGRATIONS
from teleglas_market_data.ports import SCHEMA

pytestmark = pytest.mark.integration

Pool: TypeAlias = "asyncpg.Pool[Any]"


@dataclass
class Desk:
    pool: Pool
    rig: Rig
    stub: Any


@pytest_asyncio.fixture
async def pool(database_dsn: str) -> AsyncIterator[Pool]:
    made = await create_pool(PostgresSection(dsn=SecretStr(database_dsn), pool_size=6), "tests")
    yield made
    await made.close()


@pytest_asyncio.fixture
async def desk(pool: Pool) -> AsyncIterator[Desk]:
    await migrate(pool, SCHEMA, migrations_in(MIGRATIONS))
    pieces = TimePieces(pool)
    await pieces.load()
    rig = Rig(store=PostgresStore(pool, pieces), pool=pool)
    await rig.create()
    service = MarketDataService(
        Queries(pool), rig.live, Symbols("USDT"), authenticator(None, required=False), 10.0
    )
    server = GrpcServer(
        GrpcSection(),
        [lambda one: add_MarketDataServicer_to_server(service, one)],
        ["teleglas.market.v1.MarketData"],
        metrics=Metrics(),
        errors=ERRORS,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = MarketDataStub(channel)
        yield Desk(pool, rig, stub)
    await server.stop()


async def all_pages(call: Any, request: Any, rows: Any) -> list[Any]:
    found: list[Any] = []
    while True:
        answer = await call(request)
        found += rows(answer)
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def test_migrations_run_twice_change_nothing(pool: Pool) -> None:
    """A second start finds everything applied."""
    assert await migrate(pool, SCHEMA, migrations_in(MIGRATIONS)) == [1]
    assert await migrate(pool, SCHEMA, migrations_in(MIGRATIONS)) == []


async def test_trades_and_candles_of_2024_are_stored_and_queried_in_pages(desk: Desk) -> None:
    """Every trade has its row, and pages in both directions give every candle once."""
    frames = generated()
    await desk.rig.send([*stream(frames, 50), *quotes(frames)])
    await desk.rig.drain()
    assert await desk.pool.fetchval("SELECT count(*) FROM market_data.trades") == len(frames)
    expected = counted_candles(frames, "1m")
    for descending in (False, True):
        request = pb.ListCandlesRequest(
            venue="binance", instrument="BTC", interval="1m", page_size=2, descending=descending,
            ts_to=max(expected) + 60 * 10**9,
        )  # fmt: skip
        candles = await all_pages(desk.stub.ListCandles, request, lambda a: a.candles)
        opens = [candle.ts_open for candle in candles]
        assert opens == sorted(expected, reverse=descending)
        assert {c.ts_open: values(c) for c in candles} == expected
    trades = await all_pages(
        desk.stub.ListTrades,
        pb.ListTradesRequest(venue="binance", instrument=BTC, page_size=700),
        lambda a: a.batch.trades,
    )
    assert [int(trade.id) for trade in trades] == [frame["t"] for frame in frames]
    answer = await desk.stub.GetTicker(pb.GetTickerRequest(venue="binance", instrument=BTC))
    assert answer.summary.price
    assert answer.ticker.HasField("mark_price")


async def test_quiet_seconds_are_filled_when_they_are_read(desk: Desk) -> None:
    """Seconds without trades repeat the close, page after page, without a hole."""
    frames = generated(200)
    await desk.rig.send(stream(frames, 50))
    await desk.rig.drain()
    first, last = frames[0]["T"] // 1000 * 10**9, frames[-1]["T"] // 1000 * 10**9
    for descending in (False, True):
        request = pb.ListCandlesRequest(
            venue="binance", instrument=BTC, interval="1s", page_size=7, ts_from=first,
            ts_to=last + 10**9, descending=descending,
        )  # fmt: skip
        candles = await all_pages(desk.stub.ListCandles, request, lambda a: a.candles)
        wanted = list(range(first, last + 1, 10**9))
        assert [c.ts_open for c in candles] == (wanted[::-1] if descending else wanted)


async def test_late_trades_revise_what_is_stored_and_the_past_stays_readable(desk: Desk) -> None:
    """A trade that comes hours late revises its candles; as_of shows them as they were."""
    frames = generated(1_000)
    late = frames.pop(300)
    await desk.rig.send(stream(frames, 50))
    await desk.rig.drain()
    known = (frames[-1]["T"]) * MS
    await desk.rig.send(
        [
            raw(topics.MARKET_TRADES_V1, one, BTC)
            for one in (
                progress(known + 3600 * 10**9, [BTC]),
                *batches([late, late], BTC, 1),
                progress(known + 2 * 86_400 * 10**9, [BTC]),
            )
        ]
    )
    await desk.rig.drain()
    complete = sorted([*frames, late], key=lambda frame: frame["t"])
    for interval in ("1s", "1m", "5m"):
        request = pb.ListCandlesRequest(
            venue="binance", instrument=BTC, interval=interval, page_size=500
        )
        candles = (await desk.stub.ListCandles(request)).candles
        found = {c.ts_open: values(c) for c in candles if c.trades}
        assert found == counted_candles(complete, interval)
    revised = await desk.pool.fetch("SELECT * FROM market_data.candles WHERE revision > 0")
    assert {row["label"] for row in revised} >= {"1s", "1m", "5m"}
    assert await desk.pool.fetchval("SELECT count(*) FROM market_data.trades") == len(complete)
    minute = late["T"] // 60_000 * 60_000 * MS
    request = pb.ListCandlesRequest(
        venue="binance", instrument=BTC, interval="1m", ts_from=minute, ts_to=minute + 1
    )
    (now,) = (await desk.stub.ListCandles(request)).candles
    request.as_of = minute + 60 * 10**9 + 10**9
    (before,) = (await desk.stub.ListCandles(request)).candles
    assert (before.revision, before.trades) == (0, now.trades - 1)
    assert now.completeness == 1.0


async def test_a_second_owner_fences_out_the_first(desk: Desk) -> None:
    """A shard that was restored elsewhere cannot store a checkpoint any more."""
    from teleglas_common.bus.ports import FencedError
    from teleglas_market_data.ports import Checkpoint

    store = desk.rig.store
    first = await store.restore(3)
    await store.restore(3)
    with pytest.raises(FencedError):
        await store.save(Checkpoint(3, first.generation, {"t": 5}, {"x": b"1"}))
    assert (await store.restore(3)).offsets == {}


async def test_checkpoint_that_fails_half_way_leaves_nothing(desk: Desk) -> None:
    """Rows, state and offsets are one atom."""
    from teleglas_market_data.ports import Checkpoint, LatestRow

    store = desk.rig.store
    restored = await store.restore(1)
    bad = Checkpoint(
        1,
        restored.generation,
        {"t": 5},
        {"x": b"1"},
        summaries=[LatestRow("v", "i", 1, b"m"), LatestRow("v", "i", 2, b"m")],
    )
    with pytest.raises(asyncpg.PostgresError):
        await store.save(bad)
    again = await store.restore(1)
    assert (again.offsets, again.states) == ({}, {})
    await store.save(
        replace(bad, generation=again.generation, summaries=[LatestRow("v", "i", 2, b"m")])
    )
    assert (await store.restore(1)).offsets == {"t": 5}


@pytest.mark.parametrize(
    ("method", "request_message"),
    [
        ("ListCandles", pb.ListCandlesRequest(venue="binance", instrument=BTC, interval="7m")),
        ("ListCandles", pb.ListCandlesRequest(venue="binance", interval="1m")),
        ("ListCandles", pb.ListCandlesRequest(instrument="BTC", interval="1m", ts_from=9, ts_to=3)),
        ("ListTrades", pb.ListTradesRequest(venue="binance", instrument=BTC, page_token="x!")),
        ("ListTrades", pb.ListTradesRequest(venue="binance", instrument=BTC, page_size=-1)),
        ("GetBook", pb.GetBookRequest(venue="binance", instrument=BTC, depth=-4)),
    ],
)
async def test_impossible_requests_are_refused_with_a_reason(
    desk: Desk, method: str, request_message: Any
) -> None:
    """INVALID_ARGUMENT, and words that say what was expected."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(desk.stub, method)(request_message)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "expected" in (refused.value.details() or "")


async def test_old_pieces_are_dropped_by_event_time(desk: Desk) -> None:
    """What is older than a table keeps goes, measured by event time; the rest stays."""
    await desk.rig.send(stream(generated(500), 50))
    await desk.rig.drain()
    pieces = TimePieces(desk.pool)
    await pieces.load()
    assert await pieces.drop_older(1_723_161_600_000_000_000) == []
    dropped = await pieces.drop_older(1_723_161_600_000_000_000 + 100 * 86_400 * 10**9)
    assert any(name.startswith("trades_p2024") for name in dropped)
    assert await desk.pool.fetchval("SELECT count(*) FROM market_data.trades") == 0
    assert await desk.pool.fetchval("SELECT count(*) FROM market_data.candles_1h") > 0
