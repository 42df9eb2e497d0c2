"""Whales over gRPC, against a history in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
import pytest_asyncio

from teleglas.market.v1.types_pb2 import SIDE_SELL
from teleglas.whale.v1 import whale_pb2 as pb
from teleglas.whale.v1.whale_pb2_grpc import WhalesStub, add_WhalesServicer_to_server
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.principal import ANONYMOUS
from teleglas_common.settings import GrpcSection
from teleglas_common.telemetry import Metrics
from teleglas_whale_detector.adapters.grpc_service import ERRORS, WhalesService
from teleglas_whale_detector.ports import AlertFilter

UNKNOWN: Any = 99


@dataclass
class FakeHistory:
    """Alerts by id; answers only about time, which is what paging needs."""

    kept: dict[str, pb.WhaleAlert] = field(default_factory=dict)
    known: list[pb.Threshold] = field(default_factory=list)
    asked: list[AlertFilter] = field(default_factory=list)

    async def save(self, alerts: Sequence[pb.WhaleAlert]) -> None:
        self.kept |= {alert.id: alert for alert in alerts}

    async def alerts(self, wanted: AlertFilter, size: int) -> list[pb.WhaleAlert]:
        self.asked.append(wanted)
        after = wanted.after or (1 << 62, "")
        found = [one for one in self.kept.values() if (one.ts_first_fill, one.id) < after]
        return sorted(found, key=lambda one: (one.ts_first_fill, one.id), reverse=True)[:size]

    async def alert(self, alert_id: str) -> pb.WhaleAlert | None:
        return self.kept.get(alert_id)

    async def save_thresholds(self, thresholds: Sequence[pb.Threshold]) -> None:
        self.known = list(thresholds)

    async def thresholds(self, venue: str, instrument: str) -> list[pb.Threshold]:
        return [
            one
            for one in self.known
            if venue in ("", one.venue) and instrument in ("", one.instrument)
        ]


class FakeLive:
    """One market is owned here."""

    def thresholds(self) -> list[pb.Threshold]:
        return [pb.Threshold(venue="binance", instrument="BTC-USDT", warm_up=0.5)]


@pytest.fixture
def history() -> FakeHistory:
    kept = {
        f"id{n}": pb.WhaleAlert(id=f"id{n}", ts_first_fill=1_000 + n // 2, kind=pb.WHALE_KIND_SWEEP)
        for n in range(9)
    }
    return FakeHistory(kept)


@pytest_asyncio.fixture
async def whales(history: FakeHistory) -> AsyncIterator[Any]:
    service = WhalesService(history, FakeLive(), lambda _: ANONYMOUS, 5.0)
    server = GrpcServer(
        GrpcSection(),
        [lambda made: add_WhalesServicer_to_server(service, made)],
        [pb.DESCRIPTOR.services_by_name["Whales"].full_name],
        metrics=Metrics.of("whale-detector"),
        errors=ERRORS,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield WhalesStub(channel)
    await server.stop()


async def test_alerts_page_by_page_are_all_of_them_newest_first(whales: Any) -> None:
    """A cursor goes on behind the last alert, also between two of one time."""
    found: list[str] = []
    token = ""
    while True:
        page = await whales.ListAlerts(pb.ListAlertsRequest(page_size=2, page_token=token))
        found += [alert.id for alert in page.alerts]
        token = page.next_page_token
        if not token:
            break
    assert found == [f"id{n}" for n in reversed(range(9))]


async def test_filters_reach_the_history(whales: Any, history: FakeHistory) -> None:
    """What is asked is what the history is asked."""
    await whales.ListAlerts(
        pb.ListAlertsRequest(
            venue="okx",
            instrument="BTC-USDT",
            kind=pb.WHALE_KIND_SLICED,
            side=SIDE_SELL,
            min_notional=5.5,
            ts_from=1,
            ts_to=9,
        )
    )
    assert history.asked == [AlertFilter("okx", "BTC-USDT", 3, 2, 5.5, 1, 9, None)]


@pytest.mark.parametrize(
    "request_",
    [
        pb.ListAlertsRequest(page_token="nonsense"),
        pb.ListAlertsRequest(kind=UNKNOWN),
        pb.ListAlertsRequest(side=UNKNOWN),
        pb.ListAlertsRequest(min_notional=float("nan")),
        pb.ListAlertsRequest(min_notional=-1.0),
        pb.ListAlertsRequest(ts_from=9, ts_to=2),
        pb.ListAlertsRequest(ts_from=-1),
        pb.ListAlertsRequest(venue="x" * 65),
        pb.ListAlertsRequest(instrument="a\0b"),
    ],
)
async def test_request_that_makes_no_sense_is_an_invalid_argument(
    whales: Any, request_: pb.ListAlertsRequest
) -> None:
    """Never an internal error."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await whales.ListAlerts(request_)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_alert_by_id_is_found_or_said_to_be_unknown(whales: Any) -> None:
    """Each way of asking has its own answer."""
    assert (await whales.GetAlert(pb.GetAlertRequest(id="id3"))).alert.id == "id3"
    for name, code in (
        ("gone", "NOT_FOUND"),
        ("", "INVALID_ARGUMENT"),
        ("a\0", "INVALID_ARGUMENT"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await whales.GetAlert(pb.GetAlertRequest(id=name))
        assert error.value.code().name == code


async def test_thresholds_of_owned_markets_replace_the_stored_ones(
    whales: Any, history: FakeHistory
) -> None:
    """Any replica answers for all markets, with the freshest for its own."""
    history.known = [
        pb.Threshold(venue="binance", instrument="BTC-USDT", warm_up=0.1),
        pb.Threshold(venue="okx", instrument="BTC-USDT", warm_up=1.0),
    ]
    found = (await whales.ListThresholds(pb.ListThresholdsRequest())).thresholds
    assert [(one.venue, one.warm_up) for one in found] == [("binance", 0.5), ("okx", 1.0)]
