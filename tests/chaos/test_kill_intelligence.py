"""The services behind market-data die without warning, in turn, under load."""

from __future__ import annotations

import os
import time

import pytest

from teleglas_cli.up.product import Product
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from tests.support.intelligence import SAYING, all_said, assert_all_kept
from tests.support.product import held, kill, running_product, settled

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3_600)]

ROUNDS = int(os.environ.get("TELEGLAS_CHAOS_ROUNDS", "2"))
RATE = 300
VICTIMS = ("whale-detector", "signal-scorer", "prediction", "notification")
QUICK = (
    ("TELEGLAS_DETECTOR__MIN_OBSERVATIONS", "100"),
    ("TELEGLAS_DETECTOR__QUANTILE", "0.95"),
)
"""So that every round has alerts."""


async def speaks(product: Product) -> None:
    """New alerts and new scores come."""
    said = {topic: await held(product, topic) for topic in SAYING[:2]}

    async def assert_more() -> None:
        for topic, before in said.items():
            assert await held(product, topic) > before

    await eventually(assert_more, timeout_s=120, every_s=0.3)


async def test_killed_services_lose_no_alert_score_forecast_or_delivery(tmp_path):
    """Topics, tables, chat and a replay of the scores agree after all were killed in turn."""
    async with running_product(tmp_path, rate=RATE, extra_env=QUICK) as product:
        await speaks(product)
        for _ in range(ROUNDS):
            for name in VICTIMS:
                began = time.monotonic()
                await kill(product, name)
                await speaks(product)
                took_s = time.monotonic() - began
                print(f"{name} killed, all speak again after {took_s:.1f} s")  # noqa: T201

        async def assert_forecast() -> None:
            assert await held(product, topics.PREDICTION_FORECASTS_V1) > 0

        await eventually(assert_forecast, timeout_s=240, every_s=1.0)
        await settled(product)
        await all_said(product)
        print(await assert_all_kept(product))  # noqa: T201
