"""The product is backed up under load, its database destroyed and restored, and it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from teleglas_cli.backup.archive import read_manifest
from teleglas_cli.backup.fingerprint import fingerprint
from teleglas_cli.up.product import Product
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from tests.support.intelligence import SAYING, all_said, assert_all_kept
from tests.support.log import digest
from tests.support.product import connected, held, running_product, settled
from tests.support.truth import assert_nothing_lost

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1_800)]

RATE = int(os.environ.get("TELEGLAS_DRILL_RATE", "300"))
QUICK = (
    ("TELEGLAS_DETECTOR__MIN_OBSERVATIONS", "100"),
    ("TELEGLAS_DETECTOR__QUANTILE", "0.95"),
)
"""So that there are alerts within a minute."""
REBUILT = ("market-data", "signal-scorer", "prediction", "whale-detector")
DERIVED = (topics.MARKET_CANDLES_V1, *SAYING)


def command(product: Product, *arguments: str) -> str:
    """A `teleglas` command on the product's database; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "teleglas_cli.main", *arguments],
        env={**os.environ, "TELEGLAS_POSTGRES__DSN": product.stack.postgres_dsn},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout, end="")  # noqa: T201
    return done.stdout


async def speaks(product: Product) -> None:
    """New trades, candles, alerts and scores come."""
    wanted = (topics.MARKET_TRADES_V1, topics.MARKET_CANDLES_V1, *SAYING[:2])
    before = {topic: await held(product, topic) for topic in wanted}

    async def assert_more() -> None:
        for topic, count in before.items():
            assert await held(product, topic) > count, topic.name

    await eventually(assert_more, timeout_s=180, every_s=0.5)


async def offsets(product: Product) -> dict[str, int]:
    """How far the checkpoints in the database have come, in all, by service."""
    found = {}
    async with connected(product) as database:
        for service in REBUILT:
            schema = service.replace("-", "_")
            rows = await database.fetch(f"SELECT offsets FROM {schema}.shard_checkpoints")  # noqa: S608
            found[service] = sum(
                offset
                for row in rows
                for topic, offset in json.loads(row["offsets"]).items()
                if not topic.endswith("@epoch")
            )
    return found


async def destroyed(product: Product) -> None:
    """The database is gone with its files; an empty one is in its place."""
    postgres = product.stack.postgres
    await postgres.kill()
    shutil.rmtree(postgres.data_dir / "cluster")
    await postgres.start()
    async with connected(product) as database:
        assert await fingerprint(database) == {}


async def last_words(product: Product) -> Mapping[str, Mapping[str, bytes]]:
    """The last revision of every event of each derived topic, hashed, by id."""
    return {topic.name: (await digest(product.bus, topic))[1].events for topic in DERIVED}


async def test_destroyed_database_comes_back_and_nothing_counts_twice(tmp_path: Path) -> None:
    """Row counts and hashes are those of the backup; consumers rewind to it and say the same again
    under the same ids; then topics, tables, chat and a replay agree.
    """
    archive = tmp_path / "teleglas.backup"
    async with running_product(tmp_path, rate=RATE, extra_env=QUICK) as product:
        await speaks(product)
        await asyncio.to_thread(command, product, "backup", str(archive))
        manifest = read_manifest(archive)
        await speaks(product)
        for name in reversed(product.services):
            await product.stop_part(name)
        await product.leave("postgres")
        came_to, said = await offsets(product), await last_words(product)
        await destroyed(product)
        began = time.monotonic()
        await asyncio.to_thread(command, product, "restore", str(archive))
        async with connected(product) as database:
            assert await fingerprint(database) == manifest.tables
        rewound = await offsets(product)
        assert all(rewound[service] < came_to[service] for service in REBUILT), (rewound, came_to)
        await asyncio.gather(*(product.processes[name].start() for name in product.services))
        await speaks(product)
        print(f"restored and speaking {time.monotonic() - began:.1f} s after the loss")  # noqa: T201
        await settled(product)
        await all_said(product)
        for topic, events in (await last_words(product)).items():
            lost = said[topic].keys() - events.keys()
            assert not lost, f"{topic}: {len(lost)} events are not said any more"
            changed = sum(events[one] != word for one, word in said[topic].items())
            print(f"{topic}: {len(said[topic])} events before, {changed} revised since")  # noqa: T201
        print(await assert_nothing_lost(product))  # noqa: T201
        print(await assert_all_kept(product))  # noqa: T201
