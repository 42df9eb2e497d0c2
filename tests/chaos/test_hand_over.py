"""A shard of ingest goes from one process to another while the market goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from teleglas_cli.stack.ports import free_ports
from teleglas_cli.stack.process import ManagedProcess
from teleglas_cli.up.product import Product
from teleglas_cli.up.services import answers
from teleglas_common.testing import eventually
from tests.support.log import trades
from tests.support.product import connected, running_product, settled
from tests.support.truth import assert_nothing_lost

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

RATE = int(os.environ.get("TELEGLAS_CHAOS_RATE", "1000"))


def second_ingest(product: Product, logs: Path) -> ManagedProcess:
    """Another replica: the same settings, a name and a port of its own."""
    first = product.processes["ingest"]
    port = str(free_ports(1)[0])
    env = {**(first.env or {}), "TELEGLAS_HTTP__PORT": port, "TELEGLAS_INGEST__OWNER": "second"}
    return ManagedProcess(
        "ingest-second",
        first.argv,
        env,
        logs / "ingest-second.log",
        lambda: answers(f"http://127.0.0.1:{port}/ready"),
        ready_timeout_s=60,
    )


async def owners(product: Product) -> dict[str, str]:
    """Who holds each venue's shard."""
    async with connected(product) as database:
        rows = await database.fetch("SELECT venue, owner FROM ingest.leases")
    return {row["venue"]: row["owner"] for row in rows}


async def test_a_rolling_hand_over_loses_nothing_and_repeats_nothing(tmp_path):
    """The second takes every shard over when the first leaves; ids stay whole without a gap."""
    async with running_product(tmp_path, rate=RATE, only_spine=True) as product:
        first = set((await owners(product)).values())
        assert len(first) == 1
        second = second_ingest(product, product.options.state_dir / "logs")
        await second.start()
        try:
            assert set((await owners(product)).values()) == first
            await product.stop_part("ingest")

            async def assert_taken() -> None:
                assert set((await owners(product)).values()) == {"second"}

            await eventually(assert_taken, timeout_s=30, every_s=0.1)
            before = (await trades(product.bus)).total

            async def assert_goes_on() -> None:
                assert (await trades(product.bus)).total > before + 1_000

            await eventually(assert_goes_on, timeout_s=60, every_s=0.5)
        finally:
            await second.stop(30)
        await settled(product)
        verdict = await assert_nothing_lost(product)
    print(verdict)  # noqa: T201
    assert verdict.missing_named == 0
