"""What the services behind market-data said about one run, and when they have said all of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp
from google.protobuf.message import Message

from teleglas.notification.v1.notification_pb2 import Delivery, DeliveryStatus
from teleglas.prediction.v1.prediction_pb2 import Forecast
from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_cli.up.product import Product
from teleglas_cli.up.services import lag
from teleglas_common.bus.encode import decode
from teleglas_common.bus.testing import read_all
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from tests.support.log import digest
from tests.support.product import SETTLE_TIMEOUT_S, connected, held

__all__ = ["SAYING", "all_said", "assert_all_kept", "chat_messages", "latest", "rescored"]

SAYING = (topics.WHALE_ALERTS_V1, topics.SIGNAL_SCORES_V1, topics.PREDICTION_FORECASTS_V1)
READERS = ("whale-detector", "signal-scorer", "prediction", "notification")
BACKTEST_TIMEOUT_S = 120.0
STORED_TIMEOUT_S = 30.0
"""Some checkpoints of any service."""


async def all_said(product: Product) -> None:
    """Wait until every service has read what there is, and nothing more comes of it."""
    seen = -1

    async def is_quiet() -> bool:
        nonlocal seen
        behind = [await lag(product.layout.http[name]) for name in READERS]
        before, seen = seen, await held(product, *SAYING)
        return before == seen and all(records == 0 for records in behind)

    await eventually(is_quiet, timeout_s=SETTLE_TIMEOUT_S, every_s=3.0)


async def latest(product: Product, topic: Topic, kind: type[Message]) -> dict[str, Any]:
    """The last revision of each event of a topic, by id."""
    found: dict[str, Any] = {}
    for records in (await read_all(product.bus, topic.name)).values():
        for record in records:
            message = decode(record)
            if isinstance(message, kind):
                revision: Any = message
                found[revision.id] = revision
    return found


async def chat_messages(product: Product) -> list[dict[str, Any]]:
    """What stands in the chat of this machine, oldest first."""
    url = f"{product.layout.chat_url}/chat"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        shown: list[dict[str, Any]] = (await response.json())["messages"]
        return shown


async def rescored(product: Product, *arguments: str) -> dict[str, Any]:
    """The report of `teleglas backtest` over the run's topics."""
    command: Sequence[str] = (
        *(sys.executable, "-m", "teleglas_signal_scorer.backtest", "--json", "--digest"),
        *("--kafka", product.stack.kafka_bootstrap, *arguments),
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), BACKTEST_TIMEOUT_S)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


async def assert_all_kept(product: Product, *, rescore: bool = True) -> str:
    """Alerts, scores and forecasts are in the database as on their topics; every alert that the
    chat's rule asks for is told or held; with `rescore` the scores are those that a replay gives.

    Asks a product that has said all.
    """
    alerts = await latest(product, topics.WHALE_ALERTS_V1, WhaleAlert)
    scores = await latest(product, topics.SIGNAL_SCORES_V1, SignalScore)
    forecasts = await latest(product, topics.PREDICTION_FORECASTS_V1, Forecast)
    deliveries = await latest(product, topics.NOTIFICATION_DELIVERIES_V1, Delivery)

    async def assert_stored() -> None:
        async with connected(product) as database:
            stored = await database.fetch("SELECT alert_id, revision FROM whale_detector.alerts")
            scored = await database.fetch("SELECT instrument, ts_event FROM signal_scorer.scores")
            ledger = await database.fetch("SELECT id FROM prediction.ledger")
        assert {row["alert_id"]: row["revision"] for row in stored} == {
            alert.id: alert.revision for alert in alerts.values()
        }
        assert {(row["instrument"], row["ts_event"]) for row in scored} == {
            (score.instrument, score.ts_event) for score in scores.values()
        }
        assert len(scored) == len(scores)
        assert forecasts.keys() <= {row["id"] for row in ledger}

    # What was said a moment ago is stored with the next checkpoint of who said it.
    await eventually(assert_stored, timeout_s=STORED_TIMEOUT_S, every_s=1.0)
    told = {delivery.event_id: delivery for delivery in deliveries.values()}
    assert told.keys() == alerts.keys()
    statuses = Counter(DeliveryStatus.Name(one.status) for one in told.values())
    assert not statuses["DELIVERY_STATUS_FAILED"]
    assert not statuses["DELIVERY_STATUS_QUEUED"]
    if rescore:
        again = await rescored(product, "--receipts")
        assert again["digest"] == (await digest(product.bus, topics.SIGNAL_SCORES_V1))[0]
    shown = ", ".join(f"{count} {name[16:].lower()}" for name, count in sorted(statuses.items()))
    return (
        f"{len(alerts)} alerts ({shown}), {len(scores)} scores, {len(forecasts)} forecasts: none"
        " lost, none twice"
    )
