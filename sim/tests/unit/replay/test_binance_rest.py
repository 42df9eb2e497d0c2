"""REST answers of a recorded Binance market."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from teleglas_sim.replay.loading import load
from teleglas_sim.replay.service import Replay, ReplayOptions
from teleglas_sim.replay.testing import CaptureMaker, spot_trade


def usdm_trade(trade_id: int, kind: str) -> str:
    return (
        '{"stream":"btcusdt@trade","data":{"e":"trade","E":2,"T":2,"s":"BTCUSDT",'
        f'"t":{trade_id},"p":"100.10","q":"0.5","X":"{kind}","m":true}}}}'
    )


def agg_trade(trade_id: int, time_ms: int) -> str:
    return (
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":2,"s":"BTCUSDT",'
        f'"a":{trade_id},"p":"100.1","q":"0.5","f":1,"l":2,"T":{time_ms},"m":true,"M":true}}}}'
    )


Ask = Callable[..., Any]


@pytest.fixture
def ask(captures: CaptureMaker) -> Callable[[list[str], int], Ask]:
    """A feed over these frames at a position, to be asked by path and query."""

    def at(frames: list[str], position: int) -> Ask:
        replay = Replay(load([captures.write("capture.gz", frames)]), ReplayOptions())
        replay.play.position = position
        (server,) = replay.servers.values()

        async def asked(path: str, **query: object) -> tuple[int, Any]:
            texts = {key: str(value) for key, value in query.items()}
            answer = await server.feed.rest(path, texts)
            return answer.status, json.loads(answer.body)

        return asked

    return at


async def test_usdm_lists_only_market_fills_up_to_the_limit(ask: Any) -> None:
    """Spent ids, insurance and ADL prints do not count towards the limit."""
    kinds = ["MARKET", "MARKET", "NA", "INSURANCE_FUND", "MARKET", "ADL"]
    asked = ask([usdm_trade(i, kind) for i, kind in enumerate(kinds)], 6)
    status, listed = await asked("/fapi/v1/trades", symbol="BTCUSDT", limit=2)
    assert (status, [trade["id"] for trade in listed]) == (200, [1, 4])
    assert listed[0]["quoteQty"] == "50.05000000"


async def test_usdm_older_fills_need_a_key(ask: Any) -> None:
    """As at the venue."""
    asked = ask([usdm_trade(1, "MARKET")], 1)
    status, body = await asked("/fapi/v1/historicalTrades", symbol="BTCUSDT")
    assert (status, body["code"]) == (401, -2014)


async def test_aggregates_are_listed_by_id_and_by_time(ask: Any) -> None:
    """Their ids are a space of their own; the future is not listed."""
    asked = ask([agg_trade(i, 1000 + i) for i in range(10)], 8)
    path = "/api/v3/aggTrades"
    by_id = await asked(path, symbol="BTCUSDT", fromId=3, limit=2)
    by_time = await asked(path, symbol="BTCUSDT", startTime=1002, endTime=1004)
    newest = await asked(path, symbol="BTCUSDT", limit=2)
    ids = [[trade["a"] for trade in body] for _, body in (by_id, by_time, newest)]
    assert ids == [[3, 4], [2, 3, 4], [6, 7]]


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/api/v3/depth", {}, 400, -1102),
        ("/api/v3/depth", {"symbol": "XXX"}, 400, -1121),
        ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": "many"}, 400, -1100),
        ("/api/v3/exchangeInfo", {"symbol": "XXX"}, 400, -1121),
        ("/api/v3/openInterest", {"symbol": "BTCUSDT"}, 404, -5000),
    ],
)
async def test_errors_are_the_venues_own(
    ask: Any, path: str, query: dict[str, str], status: int, code: int
) -> None:
    """Code, message and status as Binance writes them."""
    answered, body = await ask([spot_trade(1)], 1)(path, **query)
    assert (answered, body["code"]) == (status, code)
