"""Faults of the venues and of what comes from them."""

from __future__ import annotations

from typing import Any

import pytest

from teleglas_common.testing import eventually
from tests.observability.world import FIRES_S, World, frozen, ordered
from tests.support.product import connected

pytestmark = [
    pytest.mark.observability,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_silent_venues(world: World) -> None:
    with frozen(world.product.processes["venues"]):
        await world.fires("IngestSilent")
    await world.clears("IngestSilent")


async def test_a_shard_of_ingest_without_an_owner(world: World) -> None:
    """Somebody who does not work holds the lease: the venue's picture grows old."""
    async with connected(world.product) as database:

        async def assert_without() -> None:
            await database.execute(
                "UPDATE ingest.leases SET owner = 'nobody', epoch = epoch + 1,"
                " expires_at = now() + interval '5 s' WHERE venue = 'okx'"
            )
            firing = {name for name, _, _ in await world.prometheus.firing()}
            assert firing >= {"IngestShardNotOwned", "MarketStale"}

        await eventually(assert_without, timeout_s=FIRES_S, every_s=1)
    await world.clears("IngestShardNotOwned", "MarketStale")


async def test_gaps_that_stay_open(world: World) -> None:
    """Trades are dropped, and the venue's REST does not give them back until it is too late."""
    url = fault_url(world, "binance")

    async def assert_open() -> None:
        await ordered(url, kind="rest", match="*rades*", duration_s=12, status=500)
        await ordered(url, kind="drop", match="*@trade", count=3)
        assert "GapsUnresolved" in {name for name, _, _ in await world.prometheus.firing()}

    await eventually(assert_open, timeout_s=FIRES_S, every_s=2)
    await world.fires("TradesLost")
    await world.clears("GapsUnresolved", "TradesLost")


def fault_url(world: World, venue: str) -> str:
    return f"{world.product.venues[venue]['rest']}/control/fault"


async def repeated(world: World, alert: str, venue: str, every_s: float, **fault: Any) -> None:
    """Order a fault again and again until the alert fires, then wait until it is over."""

    async def assert_fired() -> None:
        await ordered(fault_url(world, venue), **fault)
        assert alert in {name for name, _, _ in await world.prometheus.firing()}

    await eventually(assert_fired, timeout_s=FIRES_S, every_s=every_s)
    await world.clears(alert)


async def test_frames_that_cannot_be_read(world: World) -> None:
    await repeated(world, "FramesRefused", "okx", 2, kind="garble", match="*", count=3)


async def test_a_venue_that_loses_frames(world: World) -> None:
    await repeated(world, "GapsFrequent", "binance", 2, kind="drop", match="*", every=3, count=60)


async def test_connections_that_break(world: World) -> None:
    await repeated(world, "ReconnectsFrequent", "binance", 1, kind="disconnect")


async def test_a_venue_that_sends_late(world: World) -> None:
    await ordered(fault_url(world, "binance"), kind="stall", duration_s=25)
    await world.fires("ClocksDisagree")
    await world.clears("ClocksDisagree")


EIGHT_EACH = """
SELECT min(made) FROM (
    SELECT count(*) AS made FROM prediction.ledger
    WHERE horizon_ns = 300000000000 AND outcome_price IS NOT NULL GROUP BY instrument
) AS each HAVING min(made) >= 8
"""


@pytest.mark.timeout(2_700)
async def test_a_market_that_no_forecast_expected(world: World) -> None:
    """News move every price further than any interval reaches: what was open misses, some five
    forecasts of each instrument, more than a fifth of the first thirteen. It clears when they are
    less than a fifth again, a quarter of an hour later.
    """
    async with connected(world.product) as database:

        async def assert_known() -> None:
            assert await database.fetchval(EIGHT_EACH) is not None

        await eventually(assert_known, timeout_s=1_200, every_s=5)
    await ordered(f"{world.product.venues['binance']['rest']}/control/news", share=-0.15)
    await world.fires("ForecastCoverageLow", timeout_s=480)
    await world.clears("ForecastCoverageLow", timeout_s=1_500)
