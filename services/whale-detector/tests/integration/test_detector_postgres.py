"""The history of alerts on PostgreSQL: revisions, filters, pages, thresholds."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from teleglas.market.v1.types_pb2 import SIDE_BUY, SIDE_SELL
from teleglas.whale.v1.whale_pb2 import (
    WHALE_KIND_BLOCK,
    WHALE_KIND_SLICED,
    WHALE_KIND_SWEEP,
    Threshold,
    WhaleAlert,
)
from teleglas_common.bus.ports import FencedError
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.settings import PostgresSection
from teleglas_whale_detector.adapters.alert_store import PostgresAlerts
from teleglas_whale_detector.app import MIGRATIONS
from teleglas_whale_detector.ports import SCHEMA, AlertFilter, Checkpoint
from teleglas_whale_detector.sink import AlertShard

pytestmark = pytest.mark.integration

ALL = AlertFilter()


@pytest_asyncio.fixture
async def store(database_dsn: str) -> AsyncIterator[PostgresAlerts]:
    pool = await create_pool(PostgresSection(dsn=SecretStr(database_dsn), pool_size=2), "tests")
    await migrate(pool, SCHEMA, migrations_in(MIGRATIONS))
    yield PostgresAlerts(pool)
    await pool.close()


async def keep(store: PostgresAlerts, alerts: Sequence[WhaleAlert]) -> None:
    """As a shard does that has just restored its checkpoint."""
    restored = await store.restore(0)
    await store.save(Checkpoint(0, restored.generation, restored.offsets, alerts))


def alert(name: str = "a", **fields: Any) -> WhaleAlert:
    """An alert of 1,000 in quote, as far as the history looks at it."""
    made = WhaleAlert(
        id=name, venue="binance", instrument="BTC-USDT", kind=WHALE_KIND_SWEEP, side=SIDE_BUY,
        notional=100_000, quote_exponent=-2, ts_first_fill=1_000,
    )  # fmt: skip
    made.MergeFrom(WhaleAlert(**fields))
    return made


async def test_alerts_saved_twice_are_one_row_each(store: PostgresAlerts) -> None:
    """What a crash between rows and offsets repeats changes nothing."""
    alerts = [alert("a"), alert("b", ts_first_fill=2_000)]
    await keep(store, alerts)
    await keep(store, alerts)
    assert await store.alerts(ALL, 10) == [alerts[1], alerts[0]]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0, 1)])
async def test_newest_revision_stands_in_whatever_order_they_come(
    store: PostgresAlerts, order: tuple[int, ...]
) -> None:
    """An older revision that is read again changes nothing, also not what filters see."""
    kinds = (WHALE_KIND_SWEEP, WHALE_KIND_BLOCK, WHALE_KIND_SLICED)
    for revision in order:
        kind, notional = kinds[revision], 100_000 * (revision + 1)
        await keep(store, [alert("a", revision=revision, kind=kind, notional=notional)])
    found = await store.alert("a")
    assert found is not None
    assert (found.revision, found.kind, found.notional) == (2, WHALE_KIND_SLICED, 300_000)
    assert await store.alerts(replace(ALL, kind=WHALE_KIND_SLICED, min_notional=3_000.0), 10)
    assert not await store.alerts(replace(ALL, kind=WHALE_KIND_SWEEP), 10)


async def test_alert_that_is_unknown_is_none(store: PostgresAlerts) -> None:
    """Not an error."""
    assert await store.alert("unknown") is None


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (ALL, "gfedcba"),
        (replace(ALL, venue="okx"), "b"),
        (replace(ALL, instrument="ETH-USDT"), "c"),
        (replace(ALL, kind=WHALE_KIND_BLOCK), "d"),
        (replace(ALL, side=SIDE_SELL), "e"),
        (replace(ALL, min_notional=1_000.01), "f"),
        (replace(ALL, ts_from=1_002, ts_to=1_005), "edc"),
        (replace(ALL, venue="binance", side=SIDE_BUY, ts_from=1_005), "gf"),
        (replace(ALL, venue="okx", side=SIDE_SELL), ""),
    ],
)
async def test_filters_leave_what_fits_all_of_them(
    store: PostgresAlerts, wanted: AlertFilter, names: str
) -> None:
    """Newest first; the range of time is half open."""
    await keep(
        store,
        [
            alert("a", ts_first_fill=1_000),
            alert("b", ts_first_fill=1_001, venue="okx"),
            alert("c", ts_first_fill=1_002, instrument="ETH-USDT"),
            alert("d", ts_first_fill=1_003, kind=WHALE_KIND_BLOCK),
            alert("e", ts_first_fill=1_004, side=SIDE_SELL),
            alert("f", ts_first_fill=1_005, notional=100_002),
            alert("g", ts_first_fill=1_006),
        ],
    )
    assert "".join(one.id for one in await store.alerts(wanted, 10)) == names


@pytest.mark.parametrize("size", [1, 3, 50])
async def test_pages_are_all_alerts_once_though_times_are_equal_and_new_ones_come(
    store: PostgresAlerts, size: int
) -> None:
    """The cursor is a place in (time, id), so what comes on top meanwhile moves nothing."""
    rng = random.Random(4)
    kept = [alert(f"id{n:02}", ts_first_fill=1_000 + rng.randrange(6)) for n in range(40)]
    await keep(store, kept)
    found: list[WhaleAlert] = []
    wanted, pages = ALL, 0
    while page := await store.alerts(wanted, size):
        found += page
        pages += 1
        wanted = replace(ALL, after=(page[-1].ts_first_fill, page[-1].id))
        await keep(store, [alert(f"new{pages}", ts_first_fill=2_000 + pages)])
    by_time = sorted(kept, key=lambda one: (one.ts_first_fill, one.id), reverse=True)
    assert found == by_time
    assert pages == -(-len(kept) // size)


async def test_history_stores_the_newest_of_what_came_between_two_checkpoints(
    store: PostgresAlerts,
) -> None:
    """And a checkpoint without alerts writes nothing."""
    shard = AlertShard(0, store)
    assert await shard.restore() == {}
    shard.pending = {"a": alert("a", revision=2)}
    await shard.checkpoint({"alerts": 7})
    assert shard.pending == {}
    shard.pending = {"a": alert("a", revision=1)}
    await shard.checkpoint({"alerts": 9})
    found = await store.alert("a")
    assert found is not None
    assert found.revision == 2
    assert await AlertShard(0, store).restore() == {"alerts": 9}


async def test_history_of_a_shard_that_moved_on_is_not_written(store: PostgresAlerts) -> None:
    """Rows and offsets go together: a former owner writes neither."""
    former, owner = AlertShard(0, store), AlertShard(0, store)
    await former.restore()
    await owner.restore()
    former.pending = {"a": alert("a")}
    with pytest.raises(FencedError):
        await former.checkpoint({"alerts": 3})
    assert await store.alert("a") is None


async def test_thresholds_newest_of_a_market_stands(store: PostgresAlerts) -> None:
    """A process that lost a market does not overwrite what its new owner said."""
    newer = Threshold(venue="okx", instrument="BTC-USDT", notional=2.0, ts_event=20)
    other = Threshold(venue="binance", instrument="BTC-USDT", warm_up=0.5, ts_event=10)
    await store.save_thresholds([newer, other])
    await store.save_thresholds(
        [Threshold(venue="okx", instrument="BTC-USDT", notional=1.0, ts_event=10)]
    )
    assert await store.thresholds("", "") == [other, newer]
    assert await store.thresholds("okx", "") == [newer]
    assert await store.thresholds("", "ETH-USDT") == []
