"""What a run shows while it runs."""

from __future__ import annotations

from pathlib import Path

from teleglas.market.v1.progress_pb2 import Progress
from teleglas.notification.v1.notification_pb2 import DELIVERY_STATUS_SENT, Delivery
from teleglas.prediction.v1.prediction_pb2 import Forecast
from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas.whale.v1.whale_pb2 import WHALE_KIND_SWEEP, WhaleAlert
from teleglas_cli.running import Running
from teleglas_cli.up.live import Flow, welcome
from teleglas_cli.up.services import TABLE
from teleglas_cli.up.summary import Summary, summarise
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Outgoing
from teleglas_contracts import topics

ALL = tuple(row.name for row in TABLE)


def alert(number: int = 1, revision: int = 0) -> Outgoing:
    message = WhaleAlert(
        id=str(number),
        revision=revision,
        kind=WHALE_KIND_SWEEP,
        venue="binance",
        instrument="BTC-USDT",
    )
    return outgoing(topics.WHALE_ALERTS_V1, message, key=message.id, subject="BTC-USDT", now_ns=1)


def mark() -> Outgoing:
    message = Progress(venue="binance", source="whale-detector/1", ts_event=1)
    return outgoing(
        topics.WHALE_ALERTS_V1, message, key="mark", subject="BTC-USDT", now_ns=1, event_id="mark"
    )


async def send(bus: MemoryBus, *records: Outgoing) -> None:
    publisher = bus.publisher()
    await publisher.start()
    for record in records:
        await publisher.send(record)
    await publisher.stop()


async def made() -> MemoryBus:
    bus = MemoryBus()
    await bus.create(topics.ALL)
    return bus


async def test_alerts_are_counted_without_the_marks_among_them() -> None:
    """Marks go on when the market is quiet: they are no news."""
    bus = await made()
    flow = Flow(bus, ALL)
    await flow.line()
    await send(bus, mark(), alert(1), mark(), alert(2), mark())
    assert "alerts 2/s" in await flow.line()
    moved = [flow.moved]
    await send(bus, mark())
    assert "alerts 0/s" in await flow.line()
    moved.append(flow.moved)
    assert moved == [True, False]
    await flow.aclose()


async def test_only_what_can_flow_is_shown() -> None:
    """A run of the spine has no column of zeros."""
    flow = Flow(await made(), ("ingest", "market-data", "gateway"))
    assert "scores" not in await flow.line()
    assert "alerts" not in await flow.line()
    assert "candles 0/s" in await flow.line()
    await flow.aclose()


def running(tmp_path: Path, services: tuple[str, ...], chat_url: str) -> Running:
    key = tmp_path / "demo.key"
    key.write_text("tg_demo\n")
    urls = dict.fromkeys(services, "http://127.0.0.1:2")
    return Running(
        *(1, "127.0.0.1:9", "postgresql://u:p@127.0.0.1:8/d", "redis://127.0.0.1:7"),
        *("http://127.0.0.1:2", "127.0.0.1:6", str(key)),
        services=urls,
        chat_url=chat_url,
    )


def test_the_welcome_names_a_command_for_what_runs(tmp_path: Path) -> None:
    """The chat page too, and nothing that would not answer."""
    whole = welcome(running(tmp_path, ALL, "http://127.0.0.1:5"), 9.0)
    assert "chat page       http://127.0.0.1:5" in whole
    for command in ("teleglas whales", "teleglas signals", "teleglas predictions", "teleglas why"):
        assert command in whole
    spine = welcome(running(tmp_path, ("gateway",), ""), 9.0)
    assert "chat page" not in spine
    assert "teleglas whales" not in spine


async def test_the_summary_counts_each_event_once() -> None:
    """Revisions and repeats are one alert, a delivery counts as what last became of it."""
    bus = await made()
    score = SignalScore(id="s", instrument="BTC-USDT")
    forecast = Forecast(id="f", instrument="BTC-USDT", horizon_ns=300 * 10**9)
    told = [Delivery(id="d"), Delivery(id="d", status=DELIVERY_STATUS_SENT)]
    await send(
        bus,
        *(alert(1), alert(1, revision=1), alert(1), mark(), alert(2)),
        outgoing(topics.SIGNAL_SCORES_V1, score, key="BTC-USDT", subject="BTC-USDT", now_ns=1),
        outgoing(
            topics.PREDICTION_FORECASTS_V1,
            forecast,
            key="BTC-USDT:300",
            subject="BTC-USDT",
            now_ns=1,
        ),
        *(
            outgoing(topics.NOTIFICATION_DELIVERIES_V1, one, key="t:s", subject="t:s", now_ns=1)
            for one in told
        ),
    )
    summary = Summary()
    await summarise(bus, summary)
    assert summary.alerts == {"sweep": 2}
    assert (summary.scores, summary.forecasts) == ({"BTC-USDT": 1}, {"300": 1})
    assert summary.deliveries == {"sent": 1}
    assert not summary.errors
