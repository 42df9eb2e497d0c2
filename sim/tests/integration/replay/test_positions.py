"""REST answers at random positions of real captures, against an independent reading."""

import bisect
import gzip
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teleglas_sim.replay.audience import Audience
from teleglas_sim.replay.binance_feed import BinanceReplayFeed
from teleglas_sim.replay.okx_book import OkxBook, checksum
from teleglas_sim.replay.pace import MAX_SPEED, Pace
from teleglas_sim.replay.play import Play
from teleglas_sim.replay.snapshot_hold import SnapshotHold
from teleglas_sim.replay.streams import Channel
from teleglas_sim.replay.timeline import Timeline
from teleglas_sim.server import FaultBoard

pytestmark = pytest.mark.realdata

MARKETS = [("binance", "BTCUSDT"), ("binance", "ETHUSDT"), ("binance-usdm", "BTCUSDT")]
_PREFIX = {"binance": "spot", "binance-usdm": "usdm"}
_REAL = settings(
    max_examples=settings().max_examples // 5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def feed_at(timeline: Timeline, venue: str, position: int) -> BinanceReplayFeed:
    audience = Audience(lambda: 0.0, wait_for=None, settle_s=0.0, pause_when_alone=False)
    play = Play(
        timeline, audience, Pace(timeline.ts_recv, MAX_SPEED, 5.0), SnapshotHold(0.0), lambda: 0.0
    )
    play.position = position
    return BinanceReplayFeed(play, venue, FaultBoard(lambda: 0.0))


async def ask(feed: BinanceReplayFeed, name: str, **query: object) -> Any:
    root = "/api/v3" if feed.venue == "binance" else "/fapi/v1"
    answer = await feed.rest(f"{root}/{name}", {key: str(value) for key, value in query.items()})
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def events(timeline: Timeline, venue: str, symbol: str, channel: Channel) -> list[tuple[int, Any]]:
    stream_id = timeline.find(venue, symbol, channel)
    assert stream_id is not None
    return [(p, json.loads(timeline.frame(p))["data"]) for p in timeline.positions[stream_id]]


def rebuilt(files: list[Path], symbol: str) -> dict[int, tuple[dict[Decimal, str], ...]]:
    """Every 97th book by its update id, straight from the lines of the files.

    The snapshot is looked for first: a diff that it covers in part was received before it.
    """
    lines = [
        json.loads(line.split(b" ", 1)[1])
        for file in files
        if symbol.lower() in file.name
        for line in gzip.decompress(file.read_bytes()).splitlines()
    ]
    snapshot = next(body for body in lines if "lastUpdateId" in body)
    bids, asks = ({Decimal(p): q for p, q in snapshot[side]} for side in ("bids", "asks"))
    diffs = [body["data"] for body in lines if "@depth" in body.get("stream", "")]
    books: dict[int, tuple[dict[Decimal, str], ...]] = {}
    for count, diff in enumerate(d for d in diffs if d["u"] > snapshot["lastUpdateId"]):
        for side, levels in ((bids, diff["b"]), (asks, diff["a"])):
            for price, size in levels:
                if Decimal(size):
                    side[Decimal(price)] = size
                else:
                    side.pop(Decimal(price), None)
        if count % 97 == 0:
            books[diff["u"]] = (dict(bids), dict(asks))
    return books


@pytest.mark.parametrize(("venue", "symbol"), MARKETS)
async def test_the_book_at_a_position_equals_an_independent_rebuild(
    binance_timeline: Timeline,
    spot_files: list[Path],
    usdm_files: list[Path],
    venue: str,
    symbol: str,
) -> None:
    """All levels of both sides agree."""
    books = rebuilt(spot_files if venue == "binance" else usdm_files, symbol)
    stops = [
        (position, books[diff["u"]])
        for position, diff in events(binance_timeline, venue, symbol, Channel.DEPTH)
        if diff["u"] in books
    ]
    assert len(stops) > 50
    feed = feed_at(binance_timeline, venue, 0)
    for position, (bids, asks) in stops:
        feed.play.position = position + 1
        depth = await ask(feed, "depth", symbol=symbol, limit=100_000)
        assert depth["bids"] == [[_text(depth, "bids", p), bids[p]] for p in sorted(bids)[::-1]]
        assert depth["asks"] == [[_text(depth, "asks", p), asks[p]] for p in sorted(asks)]


def _text(depth: Any, side: str, price: Decimal) -> str:
    """The venue's spelling of a price."""
    return f"{price:.{len(depth[side][0][0].partition('.')[2])}f}"


@pytest.mark.parametrize(("venue", "symbol"), MARKETS)
@_REAL
@given(data=st.data())
async def test_a_resync_at_any_position_is_continuous(
    binance_timeline: Timeline, venue: str, symbol: str, data: st.DataObject
) -> None:
    """A client that has buffered diffs since `joined` finds its first diff by the venue's rule."""
    diffs = DIFFS.setdefault(
        (venue, symbol), events(binance_timeline, venue, symbol, Channel.DEPTH)
    )
    position = data.draw(st.integers(diffs[0][0], diffs[-1][0]))
    joined = data.draw(st.integers(0, position))
    depth = await ask(feed_at(binance_timeline, venue, position), "depth", symbol=symbol)
    last = depth["lastUpdateId"]
    heard = [diff for at, diff in diffs if at >= joined]
    if venue == "binance":
        first = next(diff for diff in heard if diff["u"] > last)
        assert first["U"] <= last + 1 <= first["u"]
    elif last < heard[0]["U"]:
        assert not [at for at, _ in diffs if joined <= at < position], "fetched too early"
        assert heard[0]["pu"] == last
    else:
        first = next(diff for diff in heard if diff["u"] >= last)
        assert first["U"] <= last <= first["u"]


DIFFS: dict[tuple[str, str], list[tuple[int, Any]]] = {}


@pytest.mark.parametrize(("venue", "symbol"), MARKETS)
async def test_trades_end_at_the_position_and_go_on_in_the_stream(
    binance_timeline: Timeline, venue: str, symbol: str
) -> None:
    """Nothing of the future, no hole between the last listed id and the next pushed one."""
    trades = events(binance_timeline, venue, symbol, Channel.TRADES)
    feed = feed_at(binance_timeline, venue, 0)
    chance = random.Random(7)
    for position in sorted(chance.randrange(trades[9][0], trades[-1][0]) for _ in range(40)):
        feed.play.position = position
        played = bisect.bisect_left([at for at, _ in trades], position)
        listed = await ask(feed, "trades", symbol=symbol, limit=1000)
        market = [t["t"] for _, t in trades[:played] if t.get("X", "MARKET") == "MARKET"]
        assert [trade["id"] for trade in listed] == market[-1000:]
        if venue == "binance":
            from_id = trades[played // 2][1]["t"]
            older = await ask(feed, "historicalTrades", symbol=symbol, fromId=from_id, limit=50)
            ids = range(from_id, from_id + min(50, played - played // 2))
            assert [trade["id"] for trade in older] == list(ids)


def test_every_okx_checksum_matches_the_rebuilt_book(okx_timeline: Timeline) -> None:
    """The venue's own sum over each book proves it."""
    matched = 0
    for symbol in okx_timeline.symbols("okx"):
        book = OkxBook(okx_timeline, symbol)
        stream_id = okx_timeline.find("okx", symbol, Channel.DEPTH)
        assert stream_id is not None
        for position in okx_timeline.positions[stream_id]:
            book.advance_to(position + 1)
            recorded = json.loads(okx_timeline.frame(position))["data"][0]["checksum"]
            assert checksum(*book.levels(25)) == recorded
            matched += 1
    assert matched == 290


async def test_instruments_are_derived_from_the_frames(binance_timeline: Timeline) -> None:
    """Tick and assets of USD-M BTCUSDT as they were in July 2024."""
    info = await ask(feed_at(binance_timeline, "binance-usdm", 0), "exchangeInfo")
    (entry,) = info["symbols"]
    filters = {f["filterType"]: f for f in entry["filters"]}
    assert (entry["baseAsset"], entry["quoteAsset"]) == ("BTC", "USDT")
    assert Decimal(filters["PRICE_FILTER"]["tickSize"]) == Decimal("0.1")
    assert Decimal(filters["LOT_SIZE"]["stepSize"]) == Decimal("0.001")
