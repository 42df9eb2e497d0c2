"""Whales, scores and forecasts on a real socket: snapshot, sequence, resume, the old stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from teleglas.market.v1.progress_pb2 import Progress
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.memory import MemoryBus
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.testing import T0_NS
from teleglas_gateway.testing.intelligence import alert, forecast, score

HOUR_NS = 3600 * 10**9


def revision(number: int) -> Message:
    """One alert, told again and again."""
    message = alert()
    message.revision = number
    return message


def at_tick(number: int) -> Message:
    return score(ts_event=T0_NS + number * 10**9)


def issued(number: int) -> Message:
    message = forecast(horizon_ns=HOUR_NS)
    message.id += str(number)
    return message


CASES = [
    ("whales", "binance", "", topics.WHALE_ALERTS_V1, "whale_alert", revision),
    ("signals", "composite", "", topics.SIGNAL_SCORES_V1, "signal", at_tick),
    ("predictions", "composite", "1h", topics.PREDICTION_FORECASTS_V1, "prediction", issued),
]
Make = Callable[[int], Message]


async def tell(bus: MemoryBus, topic: Topic, *messages: Message) -> None:
    """With a mark after each, as they stand among alerts."""
    publisher = bus.publisher()
    await publisher.start()
    for message in messages:
        await publisher.send(
            outgoing(topic, message, key="k", subject="BTC-USDT", now_ns=T0_NS, event_id="e")
        )
        if topic is topics.WHALE_ALERTS_V1:
            mark = Progress(venue="binance", source="whale-detector/1", ts_event=T0_NS)
            await publisher.send(
                outgoing(topic, mark, key="k", subject="BTC-USDT", now_ns=T0_NS, event_id="m")
            )
    await publisher.stop()


@pytest.mark.parametrize(("channel", "venue", "interval", "topic", "kind", "make"), CASES)
async def test_a_client_resumes_where_it_was_and_hears_each_message_once(
    edge: Any,
    bus: MemoryBus,
    channel: str,
    venue: str,
    interval: str,
    topic: Topic,
    kind: str,
    make: Make,
) -> None:
    """What was said meanwhile comes in order, chained to what was heard; repeats do not."""
    params: dict[str, Any] = {"channel": channel, "symbol": "BTC", "venue": venue}
    if interval:
        params["interval"] = interval
    async with edge.client() as client:
        await client.say("subscribe", snapshot=True, **params)
        assert (await client.hear("snapshot"))["data"] == []
        await tell(bus, topic, make(0), make(0), make(1))
        heard = [await client.hear(kind), await client.hear(kind)]
    assert heard[1]["prev_seq"] == heard[0]["seq"]
    await tell(bus, topic, make(1), make(2), make(3))
    subject = ":".join(part for part in (channel, venue, "BTC-USDT", interval) if part)
    position = [heard[1]["epoch"], heard[1]["seq"]]
    async with edge.client() as client:
        await client.say("subscribe", resume={subject: position}, **params)
        missed = [await client.hear(kind), await client.hear(kind)]
        assert (await client.hear("resumed"))["recovered"] is True
        await tell(bus, topic, make(3), make(4))
        live = await client.hear(kind)
    chain = [*heard, *missed, live]
    assert [one["prev_seq"] for one in chain[1:]] == [one["seq"] for one in chain[:-1]]
    async with edge.client() as client:
        await client.say("subscribe", snapshot=True, **params)
        shown = await client.hear("snapshot")
    assert shown["data"][-1]["seq"] == live["seq"]


async def test_the_old_stream_takes_the_old_name_and_shows_the_old_shape(
    edge: Any, bus: MemoryBus
) -> None:
    """`/ws` with `whale_alert`: seven fields, numbers, a short symbol; in snapshots too."""
    async with edge.client("/ws") as client:
        await client.say("subscribe", channel="whale_alert", symbol="BTC")
        await client.hear("subscribed")
        await tell(bus, topics.WHALE_ALERTS_V1, alert())
        message = await client.hear("whale_alert")
        await client.say("subscribe", channel="whale", symbol="BTC", venue="binance", snapshot=True)
        (shown,) = (await client.hear("snapshot"))["data"]
    assert set(message) == {"type", "symbol", "timestamp", "seq", "epoch", "data"}
    assert message["data"]["amount"] == 50.0
    assert {"seq": message["seq"], "timestamp": message["timestamp"], **message["data"]} == shown


async def test_a_repeat_of_an_old_revision_does_not_reach_a_pod_that_starts_later(
    edge_with: Any, bus: MemoryBus
) -> None:
    """Two pods number alike, wherever they began."""
    await tell(bus, topics.WHALE_ALERTS_V1, revision(0), revision(1))
    async with edge_with(StreamSettings()) as edge, edge.client() as client:
        await client.say("subscribe", channel="whales", symbol="BTC", venue="binance")
        await client.hear("subscribed")
        await tell(bus, topics.WHALE_ALERTS_V1, revision(1), revision(2))
        message = await client.hear("whale_alert")
    assert message["data"]["revision"] == 2
    assert message["prev_seq"] == 2 << 10
