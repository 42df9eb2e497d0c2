"""The service on PostgreSQL: checkpoints, fencing, weights, queries over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
import grpc
import pytest
import pytest_asyncio
from pydantic import SecretStr
from signal_feeds import BEGIN, BTC, SECOND, Market
from signal_rig import Rig

from teleglas.signal.v1 import signal_pb2 as pb
from teleglas.signal.v1.signal_pb2_grpc import SignalsStub, add_SignalsServicer_to_server
from teleglas_common.bus.ports import FencedError
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.principal import METADATA_KEY, Principal, Signer, authenticator
from teleglas_common.settings import GrpcSection, PostgresSection
from teleglas_common.telemetry import Metrics
from teleglas_signal_scorer.adapters.grpc_service import ERRORS, Limits, SignalsService
from teleglas_signal_scorer.adapters.queries import Queries
from teleglas_signal_scorer.adapters.store import PostgresStore
from teleglas_signal_scorer.adapters.weights_table import WeightsTable
from teleglas_signal_scorer.app import MIGRATIONS
from teleglas_signal_scorer.domain.weights import FIRST
from teleglas_signal_scorer.ports import SCHEMA, Checkpoint

pytestmark = pytest.mark.integration

Pool: TypeAlias = "asyncpg.Pool[Any]"
MINUTES = 12
EQUAL = (("technical", 20.0), ("cvd", 40.0), ("order_flow", 40.0))
SIGNER = Signer([b"a secret of 16 bytes or more"], SystemClock())


@dataclass
class Desk:
    pool: Pool
    rig: Rig
    stub: Any


@pytest_asyncio.fixture
async def pool(database_dsn: str) -> AsyncIterator[Pool]:
    made = await create_pool(PostgresSection(dsn=SecretStr(database_dsn), pool_size=4), "tests")
    await migrate(made, SCHEMA, migrations_in(MIGRATIONS))
    await WeightsTable(made).ensure()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def desk(pool: Pool) -> AsyncIterator[Desk]:
    rig = Rig(store=PostgresStore(pool), pool=pool)
    await rig.create()
    service = SignalsService(
        Queries(pool),
        WeightsTable(pool),
        authenticator(SIGNER, required=False),
        Limits("USDT", 10.0),
    )
    server = GrpcServer(
        GrpcSection(),
        [lambda one: add_SignalsServicer_to_server(service, one)],
        ["teleglas.signal.v1.Signals"],
        metrics=Metrics(),
        errors=ERRORS,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = SignalsStub(channel)
        yield Desk(pool, rig, stub)
    await server.stop()


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


def weights_request(reason: str = "flow is what moves it") -> pb.SetWeightsRequest:
    layers = [pb.LayerWeight(layer=name, weight=weight) for name, weight in EQUAL]
    return pb.SetWeightsRequest(layers=layers, reason=reason)


async def test_scores_are_stored_as_sent_and_found_in_pages(desk: Desk) -> None:
    """Every score of the topic once, newest first, also after a second start."""
    candles, alerts = Market().candles(MINUTES), Market().alerts(MINUTES)
    half = len(candles) // 2
    await desk.rig.send(candles[:half] + alerts)
    await desk.rig.drain()
    await desk.rig.send(candles[half:])
    await desk.rig.drain()
    said = await desk.rig.scores()
    request = pb.ListScoresRequest(instrument="BTC", page_size=7)
    found: list[pb.SignalScore] = []
    while True:
        answer = await desk.stub.ListScores(request)
        found += answer.scores
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert found == sorted(said.values(), key=lambda score: -score.ts_event)
    at = BEGIN + 305 * SECOND
    answer = await desk.stub.GetScore(pb.GetScoreRequest(instrument=BTC, as_of=at))
    assert answer.score.ts_event == BEGIN + 300 * SECOND
    newest = await desk.stub.GetScore(pb.GetScoreRequest(instrument=BTC))
    explained = await desk.stub.Explain(pb.ExplainRequest(id=newest.score.id))
    assert explained.score == newest.score == found[0]
    assert len(explained.sentences) == len(newest.score.receipt.contributions)
    plain = Rig()
    await plain.create()
    await plain.send(candles + alerts)
    await plain.drain()
    assert await plain.digest() == await desk.rig.digest()


async def test_weights_change_at_runtime_behind_everything_that_was_scored(desk: Desk) -> None:
    """The new version has an audit row, takes effect at its tick, and a replay from nothing says
    the same.
    """
    candles, alerts = Market().candles(MINUTES), Market().alerts(MINUTES)
    half = len(candles) // 2
    await desk.rig.send(candles[:half] + alerts)
    await desk.rig.drain()
    before = {score.ts_event for score in (await desk.rig.scores()).values()}
    token = SIGNER.sign(Principal("acme", "ann"))
    made = await desk.stub.SetWeights(weights_request(), metadata=[(METADATA_KEY, token)])
    assert made.weights.version == 2
    assert made.weights.changed_by == "ann"
    assert made.weights.ts_effective > max(before)
    in_force = await desk.stub.GetWeights(pb.GetWeightsRequest())
    assert in_force.weights.version == FIRST.version
    await desk.rig.send(candles[half:])
    await desk.rig.drain()
    scores = (await desk.rig.scores()).values()
    assert {score.receipt.weights_version for score in scores} == {1, 2}
    for score in scores:
        expected = 2 if score.ts_event >= made.weights.ts_effective else 1
        assert score.receipt.weights_version == expected
    assert (await desk.stub.GetWeights(pb.GetWeightsRequest())).weights == made.weights
    row = await desk.pool.fetchrow(f"SELECT * FROM {SCHEMA}.audit")  # noqa: S608
    assert row is not None
    assert (row["tenant_id"], row["principal_id"], row["version"]) == ("acme", "ann", 2)
    assert row["reason"] == "flow is what moves it"
    live = await desk.rig.digest()
    await desk.pool.execute(
        f"TRUNCATE {SCHEMA}.shard_checkpoints, {SCHEMA}.shard_states, {SCHEMA}.scores"
    )
    again = Rig(store=PostgresStore(desk.pool), pool=desk.pool)
    await again.create()
    await again.send(candles + alerts)
    await again.drain()
    assert await again.digest() == live


async def test_backtest_weighs_stored_readings_anew(desk: Desk) -> None:
    """The whole range, under a version that no score was made with."""
    candles, alerts = Market().candles(MINUTES), Market().alerts(MINUTES)
    await desk.rig.send(candles + alerts)
    await desk.rig.drain()
    await desk.stub.SetWeights(weights_request())
    answers = [
        await desk.stub.Backtest(
            pb.BacktestRequest(instrument=BTC, weights_version=version, cost_basis_points=5.0)
        )
        for version in (1, 2)
    ]
    assert answers[0].bars == len(await desk.rig.scores())
    assert answers[0].buy_and_hold_return == answers[1].buy_and_hold_return != 0.0
    none = await desk.stub.Backtest(pb.BacktestRequest(instrument="ETH"))
    assert none.bars == 0


async def test_a_fenced_owner_neither_stores_nor_licenses(pool: Pool) -> None:
    """Who restored last owns the shard."""
    store = PostgresStore(pool)
    old, new = await store.restore(3), await store.restore(3)
    with pytest.raises(FencedError):
        await store.save(Checkpoint(3, old.generation, {"t": 9}, {"live/x": b"old"}, []))
    with pytest.raises(FencedError):
        await store.license(3, old.generation, 10)
    await store.save(Checkpoint(3, new.generation, {"t": 1}, {"live/x": b"new"}, []))
    assert [one.version for one in await store.license(3, new.generation, 77)] == [1]
    again = await store.restore(3)
    assert (again.offsets, again.states, again.licensed_until) == ({"t": 1}, {"live/x": b"new"}, 77)


@pytest.mark.parametrize(
    ("call", "request_", "expected"),
    [
        ("GetScore", pb.GetScoreRequest(), "INVALID_ARGUMENT"),
        ("GetScore", pb.GetScoreRequest(instrument="B\0"), "INVALID_ARGUMENT"),
        ("GetScore", pb.GetScoreRequest(instrument="B" * 65), "INVALID_ARGUMENT"),
        ("GetScore", pb.GetScoreRequest(instrument="BTC", as_of=-1), "INVALID_ARGUMENT"),
        ("GetScore", pb.GetScoreRequest(instrument="NONE"), "NOT_FOUND"),
        ("ListScores", pb.ListScoresRequest(instrument="BTC", ts_from=-1), "INVALID_ARGUMENT"),
        ("ListScores", pb.ListScoresRequest(instrument="BTC", page_size=-1), "INVALID_ARGUMENT"),
        ("ListScores", pb.ListScoresRequest(instrument="BTC", page_token="x"), "INVALID_ARGUMENT"),
        ("Explain", pb.ExplainRequest(id="BTC-USDT:1:1"), "NOT_FOUND"),
        ("Explain", pb.ExplainRequest(id=":::"), "INVALID_ARGUMENT"),
        ("Explain", pb.ExplainRequest(id="BTC-USDT:" + "9" * 19 + ":999999999"), "NOT_FOUND"),
        ("Explain", pb.ExplainRequest(id="a" * 9_999), "INVALID_ARGUMENT"),
        ("GetWeights", pb.GetWeightsRequest(version=4_294_967_295), "NOT_FOUND"),
        ("SetWeights", pb.SetWeightsRequest(reason="why"), "INVALID_ARGUMENT"),
        ("SetWeights", weights_request(reason=" "), "INVALID_ARGUMENT"),
        ("SetWeights", weights_request(reason="\0"), "INVALID_ARGUMENT"),
        ("Backtest", pb.BacktestRequest(instrument="BTC", weights_version=9), "NOT_FOUND"),
        (
            "Backtest",
            pb.BacktestRequest(instrument="BTC", cost_basis_points=float("nan")),
            "INVALID_ARGUMENT",
        ),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    desk: Desk, call: str, request_: Any, expected: str
) -> None:
    """Never an internal error."""
    code = await code_of(getattr(desk.stub, call)(request_))
    assert code is grpc.StatusCode[expected]


async def test_a_forged_principal_is_refused(desk: Desk) -> None:
    """Whatever it asks for."""
    call = desk.stub.GetWeights(pb.GetWeightsRequest(), metadata=[(METADATA_KEY, "a.b")])
    assert await code_of(call) is grpc.StatusCode.UNAUTHENTICATED
