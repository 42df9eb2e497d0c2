"""The service on PostgreSQL: checkpoints, the fence, the ledger, and every call by gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
import grpc
import pytest
import pytest_asyncio
from prediction_rig import BEGIN_NS, Rig, candles, digest, raw
from pydantic import SecretStr

from teleglas.prediction.v1 import prediction_pb2 as pb
from teleglas.prediction.v1.prediction_pb2_grpc import (
    PredictionsStub,
    add_PredictionsServicer_to_server,
)
from teleglas_common.bus.ports import FencedError
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.paging import encode_cursor
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.principal import authenticator
from teleglas_common.settings import GrpcSection, PostgresSection
from teleglas_common.telemetry import Metrics
from teleglas_prediction.adapters.grpc_service import ERRORS, PredictionService
from teleglas_prediction.adapters.queries import Queries
from teleglas_prediction.adapters.requests import Symbols
from teleglas_prediction.adapters.store import PostgresStore
from teleglas_prediction.app import MIGRATIONS
from teleglas_prediction.ports import SCHEMA, Checkpoint

pytestmark = pytest.mark.integration

Pool: TypeAlias = "asyncpg.Pool[Any]"
MINUTE_NS = 60 * 10**9
FIVE_NS, HOUR_NS = 5 * MINUTE_NS, 60 * MINUTE_NS


@dataclass
class Desk:
    pool: Pool
    rig: Rig
    stub: Any

    async def filled(self, count: int = 40, instrument: str = "BTC-USDT") -> None:
        await self.rig.send([raw(one) for one in candles(count, instrument=instrument)])
        await self.rig.drain()


@pytest_asyncio.fixture
async def pool(database_dsn: str) -> AsyncIterator[Pool]:
    made = await create_pool(PostgresSection(dsn=SecretStr(database_dsn), pool_size=3), "tests")
    yield made
    await made.close()


@pytest_asyncio.fixture
async def desk(pool: Pool) -> AsyncIterator[Desk]:
    await migrate(pool, SCHEMA, migrations_in(MIGRATIONS))
    rig = Rig(store=PostgresStore(pool), pool=pool)
    await rig.create()
    service = PredictionService(
        Queries(pool),
        rig.live,
        rig.lineups,
        Symbols("USDT"),
        authenticator(None, required=False),
        10.0,
    )
    server = GrpcServer(
        GrpcSection(),
        [lambda one: add_PredictionsServicer_to_server(service, one)],
        ["teleglas.prediction.v1.Predictions"],
        metrics=Metrics(),
        errors=ERRORS,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = PredictionsStub(channel)
        yield Desk(pool, rig, stub)
    await server.stop()


async def test_ledger_holds_every_forecast_and_its_outcome(desk: Desk) -> None:
    """Newest first over pages; outcomes are the candles' closes, losses those of the walk."""
    await desk.filled()
    entries: list[pb.LedgerEntry] = []
    request = pb.ListLedgerRequest(instrument="BTC", horizon_ns=FIVE_NS, page_size=4)
    while True:
        page = await desk.stub.ListLedger(request)
        entries += page.entries
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    times = [one.forecast.ts_event for one in entries]
    assert times == [BEGIN_NS + at * MINUTE_NS for at in range(40, 2, -1)]
    closes = {one.ts_close: one.close / 100 for one in candles(40)}
    for entry in entries[:5]:
        assert not entry.HasField("outcome_price")
    for entry in entries[5:]:
        assert entry.outcome_price == pytest.approx(closes[entry.forecast.ts_target], rel=1e-9)
        assert entry.pinball_loss == entry.baseline_pinball_loss > 0
        held = [one.lower <= entry.outcome_price <= one.upper for one in entry.forecast.intervals]
        assert list(entry.covered) == held


async def test_replay_into_the_same_ledger_changes_nothing(desk: Desk) -> None:
    """A second reader from the beginning writes the same rows and publishes the same forecasts."""
    await desk.filled()
    before = await desk.pool.fetch("SELECT * FROM prediction.ledger ORDER BY id")
    published = await digest(desk.rig.bus)
    await desk.pool.execute("TRUNCATE prediction.shard_checkpoints, prediction.shard_states")
    await Rig(bus=desk.rig.bus, store=desk.rig.store, pool=desk.pool, group="again").drain()
    assert await desk.pool.fetch("SELECT * FROM prediction.ledger ORDER BY id") == before
    assert await digest(desk.rig.bus) == published
    assert len(before) == len(published) == 38


async def test_old_forecasts_are_deleted_by_event_time_once_resolved(desk: Desk) -> None:
    """What is open stays, and what is younger than the newest by less than asked."""
    await desk.filled()
    assert await Queries(desk.pool).delete_old(10 * MINUTE_NS) == 27
    assert await Queries(desk.pool).delete_old(0) == 6
    left = await desk.pool.fetchval("SELECT count(*) FROM prediction.ledger")
    assert left == 5


async def test_an_owner_that_was_replaced_stores_nothing(desk: Desk) -> None:
    """The generation fences the whole checkpoint, states and ledger among it."""
    store = PostgresStore(desk.pool)
    old = await store.restore(3)
    new = await store.restore(3)
    await store.save(Checkpoint(3, new.generation, {"t": 5}, {"a/1m": b"new"}))
    with pytest.raises(FencedError):
        await store.save(Checkpoint(3, old.generation, {"t": 9}, {"a/1m": b"old"}))
    again = await store.restore(3)
    assert (again.offsets, again.states) == ({"t": 5}, {"a/1m": b"new"})


async def test_predict_answers_live_and_from_the_ledger(desk: Desk) -> None:
    """The answer is the forecast at the newest bar, whoever owns the partition."""
    await desk.filled()
    asked = pb.PredictRequest(instrument="BTC", horizon_ns=FIVE_NS)
    stored = (await desk.stub.Predict(asked)).forecast
    assert stored.ts_event == BEGIN_NS + 40 * MINUTE_NS
    worker, task = await desk.rig.start()
    await desk.rig.send([raw(one) for one in candles(41)[40:]])
    await desk.rig.handled(task)
    live = (await desk.stub.Predict(asked)).forecast
    assert live.ts_event == BEGIN_NS + 41 * MINUTE_NS
    batch = await desk.stub.PredictBatch(pb.PredictBatchRequest(instruments=["BTC", "ETH"]))
    assert list(batch.forecasts) == [live]
    models = (await desk.stub.ListModels(pb.ListModelsRequest())).models
    worker.stop()
    await task
    five = next(one for one in models if one.horizon_ns == FIVE_NS)
    assert (five.name, five.champion) == ("random-walk", True)
    metrics = {one.name: one.value for one in five.metrics}
    assert metrics["warm_up"] == 1.0
    assert metrics["live_resolved"] == 34
    assert 0 <= metrics["live_coverage_90"] <= 1


async def test_predict_before_warm_up_says_how_far_it_is(desk: Desk) -> None:
    """Not found, with the bars that are there and that are needed."""
    await desk.rig.send([raw(one) for one in candles(2)])
    worker, task = await desk.rig.start()
    await desk.rig.handled(task)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await desk.stub.Predict(pb.PredictRequest(instrument="BTC", horizon_ns=FIVE_NS))
    worker.stop()
    await task
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert "2 of the 3 closed 1m bars" in (refused.value.details() or "")


BAD: list[tuple[str, Any]] = [
    ("Predict", pb.PredictRequest()),
    ("Predict", pb.PredictRequest(instrument="BTC")),
    ("Predict", pb.PredictRequest(instrument="BTC", horizon_ns=1)),
    ("Predict", pb.PredictRequest(instrument="B\0C", horizon_ns=FIVE_NS)),
    ("Predict", pb.PredictRequest(instrument="B" * 65, horizon_ns=FIVE_NS)),
    ("Predict", pb.PredictRequest(instrument="BTC", horizon_ns=FIVE_NS, model="oracle")),
    ("PredictBatch", pb.PredictBatchRequest()),
    ("PredictBatch", pb.PredictBatchRequest(instruments=["BTC"] * 51)),
    ("PredictBatch", pb.PredictBatchRequest(instruments=["BTC"], horizons_ns=[FIVE_NS] * 6)),
    ("PredictBatch", pb.PredictBatchRequest(instruments=["BTC"], horizons_ns=[-1])),
    ("ListLedger", pb.ListLedgerRequest(ts_from=-1)),
    ("ListLedger", pb.ListLedgerRequest(ts_from=2, ts_to=1)),
    ("ListLedger", pb.ListLedgerRequest(page_size=-1)),
    ("ListLedger", pb.ListLedgerRequest(horizon_ns=3)),
    ("ListLedger", pb.ListLedgerRequest(page_token="?")),
    ("ListLedger", pb.ListLedgerRequest(page_token=encode_cursor("ledger", (1, "a")))),
]
SCOPE = f"ledger::0:0:{(1 << 63) - 1}"
BAD += [
    ("ListLedger", pb.ListLedgerRequest(page_token=encode_cursor(SCOPE, position)))
    for position in ((1 << 63, "a"), (1, "\0"), ("a", 1), (1,), (1, "x" * 201))
]


@pytest.mark.parametrize(("method", "request_"), BAD)
async def test_a_bad_request_is_an_invalid_argument(desk: Desk, method: str, request_: Any) -> None:
    """Never an internal error."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(desk.stub, method)(request_)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_predict_of_an_unknown_instrument_or_model_is_not_found(desk: Desk) -> None:
    """A good question without an answer."""
    for request in (
        pb.PredictRequest(instrument="NOPE", horizon_ns=HOUR_NS),
        pb.PredictRequest(instrument="BTC", horizon_ns=HOUR_NS, model="boosted"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.stub.Predict(request)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
