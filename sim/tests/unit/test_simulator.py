import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from teleglas_common.testing import eventually
from teleglas_sim.market.catalog import Venue
from teleglas_sim.settings import Settings, parse_settings
from teleglas_sim.simulator import Simulator


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    settings = Settings(rate=2000.0, truth=tmp_path / "truth.jsonl", whale_interval_s=1.0)
    simulator = Simulator(settings, clock_ms=lambda: time.time_ns() // 1_000_000)
    await simulator.start()
    yield simulator
    await simulator.stop()


async def test_a_client_of_every_venue_gets_books_and_trades(simulator: Simulator) -> None:
    """Real sockets, real time: a spot, a USD-M and an OKX client all hear their streams."""
    urls = simulator.urls()
    assert set(urls) == {venue.value for venue in Venue}
    heard: set[str] = set()
    async with ClientSession() as http:
        spot = await http.ws_connect(
            urls["binance"]["ws"] + "/stream?streams=btcusdt@trade/btcusdt@depth@100ms"
        )
        usdm = await http.ws_connect(
            urls["binance-usdm"]["ws"] + "/public/stream?streams=btcusdt@trade/btcusdt@bookTicker"
        )
        okx = await http.ws_connect(urls["okx"]["ws"] + "/ws/v5/public")
        channels = [{"channel": name, "instId": "BTC-USDT"} for name in ("trades", "books")]
        await okx.send_json({"op": "subscribe", "args": channels})

        async with asyncio.timeout(10):
            for venue, socket in (("spot", spot), ("usdm", usdm), ("okx", okx)):
                while len([name for name in heard if name.startswith(venue)]) < 2:
                    frame = json.loads(await socket.receive_str())
                    heard.add(f"{venue}/{frame.get('stream') or frame['arg']['channel']}")
        async with http.get(
            urls["binance"]["rest"] + "/api/v3/trades?symbol=BTCUSDT&limit=1000"
        ) as answer:
            rows = await answer.json()
    ids = [row["id"] for row in rows]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert heard >= {"spot/btcusdt@depth@100ms", "usdm/btcusdt@bookTicker", "okx/books"}


async def test_rest_pages_trades_forward_and_back(simulator: Simulator) -> None:
    """Binance goes forward from an id, OKX back from one; neither invents history."""
    market = simulator.market
    await eventually(lambda: all(market.instruments[i].market_trades > 60 for i in (0, 2)))
    urls = simulator.urls()
    first = market.config.start_ms
    async with ClientSession() as http:

        async def get(venue: str, path: str) -> Any:
            async with http.get(urls[venue]["rest"] + path) as answer:
                return await answer.json()

        page = await get(
            "binance", f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={first + 10}&limit=20"
        )
        assert [row["id"] for row in page] == list(range(first + 10, first + 30))
        groups = await get("binance", "/api/v3/aggTrades?symbol=BTCUSDT&limit=5")
        again = await get(
            "binance", f"/api/v3/aggTrades?symbol=BTCUSDT&limit=2&fromId={groups[1]['a']}"
        )
        assert again == groups[1:3]
        back = await get(
            "okx", f"/api/v5/market/history-trades?instId=BTC-USDT&after={first + 50}&limit=20"
        )
        ids = [int(row["tradeId"]) for row in back["data"]]
        assert ids == list(range(first + 49, first + 29, -1))
        start = await get(
            "okx", f"/api/v5/market/history-trades?instId=BTC-USDT&after={first + 1}&limit=20"
        )
        assert [int(row["tradeId"]) for row in start["data"]] == [first]
        unknown = await get("okx", "/api/v5/market/books?instId=NO-SUCH")
        assert unknown["code"] == "51001"


async def test_a_whale_can_be_ordered(simulator: Simulator) -> None:
    """What was ordered stands in the truth log under the id that was answered."""
    url = simulator.urls()["okx"]["rest"] + "/control/whale"
    order = {"kind": "sweep", "symbol": "BTC-USDT-SWAP", "side": "sell", "notional": 3_000_000}
    async with ClientSession() as http:
        async with http.post(url, json=order) as answer:
            parent = (await answer.json())["parent"]
        async with http.post(url, json=order | {"symbol": "NO-SUCH"}) as answer:
            assert answer.status == 400
    assert simulator.truth is not None

    def written() -> dict[str, Any]:
        simulator.truth.flush()  # type: ignore[union-attr]
        lines = simulator.truth.path.read_text().splitlines()  # type: ignore[union-attr]
        return next((r for r in map(json.loads, lines) if r["id"] == parent), {})

    record = await eventually(written)
    assert (record["symbol"], record["side"], record["kind"]) == ("BTC-USDT-SWAP", "sell", "sweep")
    assert float(record["notional"]) > 1_000_000


async def test_news_move_every_price(simulator: Simulator) -> None:
    """At once and for good; what is no share is refused."""
    url = simulator.urls()["binance"]["rest"]

    async def price(http: ClientSession, symbol: str) -> float:
        async with http.get(f"{url}/api/v3/ticker/24hr?symbol={symbol}") as answer:
            return float((await answer.json())["lastPrice"])

    async with ClientSession() as http:
        before = {symbol: await price(http, symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
        async with http.post(f"{url}/control/news", json={"share": 0.1}) as answer:
            assert answer.status == 200
        async with http.post(f"{url}/control/news", json={"share": 7}) as answer:
            assert answer.status == 400

        async def assert_moved() -> None:
            for symbol, old in before.items():
                assert await price(http, symbol) == pytest.approx(old * 1.1, rel=0.01)

        await eventually(assert_moved)


async def test_instruments_say_what_their_sizes_mean(simulator: Simulator) -> None:
    """Ticks and lots on Binance, contract values and kinds on OKX."""
    urls = simulator.urls()
    async with ClientSession() as http:
        async with http.get(urls["binance"]["rest"] + "/api/v3/exchangeInfo") as answer:
            symbols = {item["symbol"]: item for item in (await answer.json())["symbols"]}
        url = urls["okx"]["rest"] + "/api/v5/public/instruments?instType=SWAP"
        async with http.get(url) as answer:
            swaps = {item["instId"]: item for item in (await answer.json())["data"]}
    filters = {item["filterType"]: item for item in symbols["BTCUSDT"]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert (swaps["BTC-USDT-SWAP"]["ctVal"], swaps["BTC-USDT-SWAP"]["ctType"]) == ("0.01", "linear")
    inverse = swaps["BTC-USD-SWAP"]
    assert (inverse["ctVal"], inverse["ctType"], inverse["settleCcy"]) == ("100", "inverse", "BTC")


async def test_the_truth_log_is_complete_after_a_stop(tmp_path: Path) -> None:
    """Every market fill stands in the log once the simulator has stopped."""
    path = tmp_path / "truth.jsonl"
    settings = Settings(rate=500.0, truth=path, whale_interval_s=0.5)
    simulator = Simulator(settings, clock_ms=lambda: time.time_ns() // 1_000_000)
    await simulator.start()
    await eventually(lambda: sum(i.market_trades for i in simulator.market.instruments) > 300)
    await simulator.stop()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    traded = sum(instrument.market_trades for instrument in simulator.market.instruments)
    assert sum(record["fill_count"] for record in records) == traded


async def test_lost_time_is_skipped_not_replayed() -> None:
    """After a suspended hour the market goes on from now."""
    clock = [1_700_000_000_000]
    simulator = Simulator(Settings(rate=300.0), clock_ms=lambda: clock[0])
    await simulator.start()
    clock[0] += 3_600_000
    await eventually(lambda: simulator.market.now_ms >= clock[0] - 10)
    await simulator.stop()
    assert simulator.skipped_ms >= 3_590_000
    assert sum(item.market_trades for item in simulator.market.instruments) < 5_000


def test_settings_come_from_flags_and_variables() -> None:
    """Flags win; what is impossible is named with all its faults."""
    settings = parse_settings(
        ["--rate", "2000", "--truth", "t.jsonl", "--truth-planted-only"],
        {"TELEGLAS_SIM_SEED": "9", "TELEGLAS_SIM_RATE": "5"},
    )
    assert (settings.seed, settings.rate, settings.truth_flow) == (9, 2000.0, False)
    with pytest.raises(ValueError, match=r"rate above 0.*step_ms from 1 to 100"):
        parse_settings(["--rate", "0", "--step-ms", "0"], {})
