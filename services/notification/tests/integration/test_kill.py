"""The process on Apache Kafka, PostgreSQL and a Bot API server, killed while alerts flow."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from notification_rig import TOKEN
from notification_samples import SECOND, T0, alert, score

from teleglas.notification.v1.notification_pb2 import (
    DELIVERY_STATUS_EDITED,
    DELIVERY_STATUS_SENT,
    Delivery,
)
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.testing import forget_members
from teleglas_common.bus.encode import decode, outgoing
from teleglas_common.bus.ports import Bus, Publisher
from teleglas_common.bus.testing import read_all
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_notification.routes import GROUP
from teleglas_sim.botapi.chats import NEWCOMER
from teleglas_sim.botapi.server import BotApiServer

pytestmark = pytest.mark.integration

ALERTS = 60
DONE = (DELIVERY_STATUS_SENT, DELIVERY_STATUS_EDITED)
KILLS = 3


def started(
    stack: StackAddresses, dsn: str, server: BotApiServer, log: Path
) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "TELEGLAS_KAFKA__BOOTSTRAP": stack.kafka_bootstrap,
        "TELEGLAS_POSTGRES__DSN": dsn,
        "TELEGLAS_TELEGRAM__TOKEN": TOKEN,
        "TELEGLAS_TELEGRAM__API_URL": server.url,
        "TELEGLAS_TELEGRAM__DEFAULT_WATCH": "whale",
        "TELEGLAS_TELEGRAM__DEFAULT_BUDGET_PER_HOUR": "10000",
        "TELEGLAS_DELIVERY__CHAT_GAP_S": "0.02",
        "TELEGLAS_DELIVERY__PER_SECOND": "200",
        "TELEGLAS_DELIVERY__EDIT_GAP_S": "0.1",
        "TELEGLAS_DELIVERY__LEASE_S": "20",
        "TELEGLAS_TELEGRAM__CALL_TIMEOUT_S": "5",
        "TELEGLAS_WEBHOOK__TIMEOUT_S": "5",
    }
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "teleglas_notification"],
            env=environment,
            stdout=out,
            stderr=out,
        )


async def feed(publisher: Publisher, instrument: str, first: int, last: int) -> None:
    """Alerts with a score after each, a few a second."""
    for number in range(first, last):
        one = alert(number)
        one.id, one.instrument, one.levels_consumed = f"{instrument}:{number}", instrument, number
        told = score(one.ts_event + SECOND)
        told.instrument, told.id = instrument, f"{instrument}:{one.ts_event}"
        for topic, message, event_id in (
            (topics.WHALE_ALERTS_V1, one, one.id),
            (topics.SIGNAL_SCORES_V1, told, told.id),
        ):
            await publisher.send(
                outgoing(
                    topic, message, key=event_id, subject=instrument, now_ns=T0, event_id=event_id
                )
            )
        await publisher.flush()
        await asyncio.sleep(0.02)


def told(server: BotApiServer) -> list[int]:
    """The numbers of the alerts that the chat was told of, in its order."""
    texts = [one.text for one in server.chats.messages.values() if one.from_bot]
    return [int(text.split(" levels")[0].rpartition(" ")[2]) for text in texts if " levels" in text]


def completed(server: BotApiServer) -> int:
    """How many messages show the score that came after their alert."""
    return sum("after it" in one.text for one in server.chats.messages.values() if one.from_bot)


async def deliveries(bus: Bus, tenant_events: str) -> dict[str, Delivery]:
    """The last revision of each delivery of an instrument's alerts."""
    found: dict[str, Delivery] = {}
    for records in (await read_all(bus, topics.NOTIFICATION_DELIVERIES_V1.name)).values():
        for record in records:
            message = decode(record)
            assert isinstance(message, Delivery)
            if message.event_id.startswith(tenant_events):
                known = found.get(message.id)
                assert known is None or known.revision <= message.revision
                found[message.id] = message
    return found


async def rules(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM notification.rules"))
    except asyncpg.UndefinedTableError:
        return 0
    finally:
        await connection.close()


@pytest.mark.timeout(400)
async def test_killed_process_tells_everything_and_hardly_anything_twice(
    stack: StackAddresses,
    database_dsn: str,
    tmp_path: Path,
    unique_name: Callable[[str], str],
) -> None:
    """kill -9, again and again: each alert is in the chat, in order, no more copies than kills;
    each message is completed by its score, each delivery reported, and the token is in no log.
    """
    instrument = f"{unique_name('KILL').replace('-', '').upper()}-USDT"
    log = tmp_path / "notification.log"
    bus = create_bus(KafkaSection(bootstrap=stack.kafka_bootstrap), "tests")
    await bus.create(topics.ALL)
    publisher = bus.publisher()
    await publisher.start()
    server = BotApiServer(TOKEN)
    server.chats.greet()
    await server.start()
    process = started(stack, database_dsn, server, log)

    async def is_watched() -> bool:
        assert process.poll() is None, log.read_text()[-2_000:]
        return await rules(database_dsn) == 1

    try:
        await eventually(is_watched, timeout_s=90.0, every_s=0.2)
        feeding = asyncio.create_task(feed(publisher, instrument, 1, ALERTS + 1))
        for kill in range(1, KILLS + 1):
            await eventually(_more_than(server, kill * ALERTS // 5), timeout_s=120.0)
            process.kill()
            process.wait()
            await forget_members(stack.kafka_bootstrap, GROUP)
            process = started(stack, database_dsn, server, log)
        await feeding
        numbers = list(range(1, ALERTS + 1))
        await eventually(lambda: sorted(set(told(server))) == numbers, timeout_s=120.0)
        assert list(dict.fromkeys(told(server))) == numbers
        copies = sum(count - 1 for count in Counter(told(server)).values())
        assert copies <= KILLS

        async def are_reported() -> bool:
            found = (await deliveries(bus, instrument)).values()
            done = [one for one in found if one.status in DONE]
            return len(found) == ALERTS and len(done) == ALERTS

        await eventually(are_reported, timeout_s=60.0, every_s=0.5)
        await eventually(lambda: completed(server) >= ALERTS, timeout_s=60.0)
        assert TOKEN not in log.read_text()
        assert all(call["params"].get("chat_id", NEWCOMER) in (NEWCOMER, str(NEWCOMER))
                   for call in _sent(server))  # fmt: skip
    finally:
        process.kill()
        process.wait()
        await server.stop()
        await publisher.stop()


def _more_than(server: BotApiServer, count: int) -> Callable[[], bool]:
    return lambda: len(told(server)) > count


def _sent(server: BotApiServer) -> list[Any]:
    return [call for call in server.calls if call["method"].startswith("send")]
