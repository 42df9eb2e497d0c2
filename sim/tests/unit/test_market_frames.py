import hashlib
import json
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zlib import crc32

from teleglas_sim.market.catalog import Venue
from teleglas_sim.testing import START_MS, drive


def digest(frames: list[tuple[str, bytes]]) -> str:
    return hashlib.sha256(b"\n".join(payload for _stream, payload in frames)).hexdigest()


async def test_same_seed_and_start_give_the_same_bytes() -> None:
    """Two runs of one seed send the same frames; another seed does not."""
    digests = []
    for seed in (7, 7, 8):
        driven = drive(seed=seed)
        await driven.follow_all()
        driven.run(4)
        digests.append(digest(driven.frames))
    assert digests[0] == digests[1] != digests[2]


async def test_a_late_follower_gets_the_frames_of_an_early_one() -> None:
    """Who follows what does not change what is sent."""
    early, late = drive(), drive()
    await early.follow_all()
    early.run(2)
    late.run(2)
    await late.follow_all()
    del early.frames[:], late.frames[:]
    early.run(2)
    late.run(2)
    assert digest(early.frames) == digest(late.frames)


async def test_ids_of_a_later_run_are_higher() -> None:
    """A restarted simulator never repeats trade ids or update ids."""
    highest: list[int] = []
    lowest: list[int] = []
    for start_ms, bounds, pick in (
        (START_MS, highest, max),
        (START_MS + 30_000, lowest, min),
    ):
        driven = drive(start_ms=start_ms, rate=2000)
        await driven.follow_all()
        driven.run(5)
        bounds.append(pick(frame["t"] for frame in driven.of("btcusdt@trade")))
        bounds.append(pick(frame["u"] for frame in driven.of("btcusdt@depth@100ms")))
    assert all(high < low for high, low in zip(highest, lowest, strict=True))


async def test_spot_diffs_are_continuous_and_rebuild_the_book() -> None:
    """`U` follows the previous `u` by one; snapshot plus diffs equals the simulator's own book."""
    driven = drive(rate=1500)
    driven.run(1.035)
    await driven.follow_all()
    answer = await driven.spot.rest("/api/v3/depth", {"symbol": "BTCUSDT", "limit": "5000"})
    driven.run(5)
    own = driven.market.instruments[0].book
    while own.version != own.published:
        driven.run(0.01)
    snapshot = json.loads(answer.body)
    book = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
    last = None
    for diff in driven.of("btcusdt@depth@100ms"):
        if diff["u"] <= snapshot["lastUpdateId"]:
            continue
        if last is None:
            assert diff["U"] <= snapshot["lastUpdateId"] + 1 <= diff["u"]
        else:
            assert diff["U"] == last + 1
        last = diff["u"]
        apply(book, diff)
    for name, side in (("b", own.bids), ("a", own.asks)):
        expected = {Decimal(p).scaleb(-2): Decimal(s).scaleb(-5) for p, s in side.sizes.items()}
        assert {Decimal(p): Decimal(s) for p, s in book[name].items()} == expected


async def test_usdm_diffs_chain_by_pu_and_rebuild_the_book() -> None:
    """`pu` is the previous `u`, `U` is not `u` + 1, and the first diff straddles the snapshot."""
    driven = drive(rate=1500)
    driven.run(1.035)
    await driven.follow_all()
    answer = await driven.usdm.rest("/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": "1000"})
    driven.run(5)
    snapshot = json.loads(answer.body)
    book = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
    last = None
    jumps = 0
    for diff in driven.of("usdm/btcusdt@depth@100ms"):
        if diff["u"] < snapshot["lastUpdateId"]:
            continue
        if last is None:
            assert diff["U"] <= snapshot["lastUpdateId"] <= diff["u"]
        else:
            assert diff["pu"] == last
            jumps += diff["U"] != last + 1
        last = diff["u"]
        apply(book, diff)
    assert jumps > 40
    assert_uncrossed(book)


def apply(book: dict[str, dict[str, str]], diff: dict[str, list[list[str]]]) -> None:
    for side in ("b", "a"):
        for price, size in diff[side]:
            if Decimal(size):
                book[side][price] = size
            else:
                book[side].pop(price, None)


def assert_uncrossed(book: dict[str, dict[str, str]]) -> None:
    best_bid = max(Decimal(price) for price in book["b"])
    best_ask = min(Decimal(price) for price in book["a"])
    assert best_bid < best_ask


async def test_okx_book_chains_and_carries_checksum_zero() -> None:
    """The snapshot opens with -1, every update names the sequence before it, nothing is signed."""
    driven = drive(rate=1500)
    driven.run(1.03)
    await driven.follow_all()
    driven.run(4)
    frames = driven.of("books:BTC-USDT")
    assert frames[0]["action"] == "snapshot"
    assert frames[0]["data"][0]["prevSeqId"] == -1
    last = frames[0]["data"][0]["seqId"]
    for frame in frames[1:]:
        assert frame["action"] == "update"
        assert frame["data"][0]["prevSeqId"] == last
        assert frame["data"][0]["checksum"] == 0
        last = frame["data"][0]["seqId"]


async def test_okx_newcomer_joins_in_the_middle_of_an_interval() -> None:
    """A snapshot taken between two updates is the state that the next update builds on."""
    driven = drive(rate=1500, checksums=True)
    driven.run(1.057)
    await driven.follow_all()
    driven.run(3)
    sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    for frame in driven.of("books:BTC-USD-SWAP"):
        data = frame["data"][0]
        for side, levels in sides.items():
            for price, size, *_rest in data[side]:
                if size == "0":
                    levels.pop(price, None)
                else:
                    levels[price] = size
        assert max(len(levels) for levels in sides.values()) <= 400
        assert checksum(sides) == data["checksum"] != 0


def checksum(sides: dict[str, dict[str, str]]) -> int:
    bids = sorted(sides["bids"].items(), key=lambda level: -Decimal(level[0]))[:25]
    asks = sorted(sides["asks"].items(), key=lambda level: Decimal(level[0]))[:25]
    parts = [f"{p}:{s}" for pair in zip(bids, asks, strict=True) for p, s in pair]
    value = crc32(":".join(parts).encode())
    return value - 2**32 if value >= 2**31 else value


async def test_okx_quiet_book_sends_a_heartbeat_after_a_minute() -> None:
    """Without change the same sequence comes again with empty sides."""
    driven = drive(instruments=3)
    book = driven.okx.books[2]
    now_ms = driven.market.now_ms
    assert book.heartbeat(now_ms + 59_999) is None
    frame = json.loads(book.heartbeat(now_ms + 60_000) or b"")["data"][0]
    assert frame["seqId"] == frame["prevSeqId"]
    assert frame["bids"] == frame["asks"] == []
    assert book.heartbeat(now_ms + 60_100) is None


async def test_trade_ids_have_no_holes_and_okx_merges_fills() -> None:
    """Fill ids are consecutive on every venue; `trades` with `count` covers `trades-all`."""
    driven = drive(rate=2000)
    await driven.follow_all()
    driven.run(5)
    streams = driven.by_stream()
    for stream, frames in streams.items():
        if stream.endswith("@trade"):
            ids = [frame["t"] for frame in frames]
        elif stream.startswith("trades-all:"):
            ids = [int(frame["data"][0]["tradeId"]) for frame in frames]
        else:
            continue
        assert ids == list(range(ids[0], ids[0] + len(ids))), stream
    fills = {int(f["data"][0]["tradeId"]) for f in streams["trades-all:BTC-USDT"]}
    merged: list[int] = []
    for frame in streams["trades:BTC-USDT"]:
        data = frame["data"][0]
        last, count = int(data["tradeId"]), int(data["count"])
        merged.extend(range(last - count + 1, last + 1))
    assert sorted(merged) == sorted(fills)
    assert len(streams["trades:BTC-USDT"]) < len(merged)


async def test_usdm_trades_carry_kinds_and_spent_ids() -> None:
    """About one id in a hundred is spent without price or size, the rest are market fills."""
    driven = drive(rate=2000, instruments=2)
    await driven.follow_all()
    driven.run(6)
    frames = driven.of("usdm/btcusdt@trade")
    spent = [frame for frame in frames if frame["X"] == "NA"]
    assert 0.003 < len(spent) / len(frames) < 0.03
    assert all(frame["p"] == frame["q"] == "0" for frame in spent)
    assert {frame["X"] for frame in frames} <= {"MARKET", "NA", "INSURANCE_FUND"}


async def test_liquidations_are_published_at_most_once_a_second_and_contract() -> None:
    """A cascade has more liquidations than the feeds show."""
    driven = drive(rate=200, cascade_interval_s=1.0)
    await driven.follow_all()
    driven.run(20)
    happened = [e for e in driven.events if type(e).__name__ == "Liquidated"]
    shown: dict[str, list[int]] = {}
    for name in ("usdm/btcusdt@forceOrder", "usdm/ethusdt@forceOrder"):
        shown[name] = [frame["E"] for frame in driven.of(name)]
    for frame in driven.of("liquidation-orders:SWAP"):
        row = frame["data"][0]
        shown.setdefault(row["instId"], []).append(int(row["details"][0]["ts"]))
    for name in ("usdm/btcusdt@forceOrder", "usdm/ethusdt@forceOrder"):
        times = shown[name]
        assert all(b - a >= 1000 for a, b in pairwise(times))
    assert 0 < sum(map(len, shown.values())) < len(happened)


async def test_periodic_channels_come_at_their_pace() -> None:
    """Tickers, marks, funding and open interest come as often as the venues send them."""
    driven = drive(rate=2000)
    driven.run(1)
    await driven.follow_all()
    driven.run(6)
    streams = driven.by_stream()
    assert len(streams["usdm/ethusdt@markPrice@1s"]) == 6
    assert len(streams["usdm/ethusdt@markPrice"]) == 2
    assert len(streams["solusdt@ticker"]) == 6
    assert 55 <= len(streams["tickers:BTC-USDT"]) <= 61
    assert 2 <= len(streams["open-interest:BTC-USD-SWAP"]) <= 4
    assert len(streams["funding-rate:BTC-USDT-SWAP"]) >= 1
    row = streams["funding-rate:BTC-USDT-SWAP"][0]["data"][0]
    assert int(row["fundingTime"]) % (8 * 3_600_000) == 0
    assert set(driven.faults) == set(Venue)


async def test_okx_does_not_repeat_what_has_not_changed() -> None:
    """Tickers follow trades and the best levels; a mark price comes again after ten seconds."""
    driven = drive(rate=2, whale_interval_s=0.0, cascade_interval_s=0.0)
    driven.run(30)
    await driven.follow_all()
    driven.run(30)
    streams = driven.by_stream()
    tickers = [streams[name] for name in streams if name.startswith("tickers:")]
    assert tickers
    for frames in tickers:
        said = [{key: row[key] for key in row if key != "ts"} for row in rows(frames)]
        assert len(said) < 100
        assert all(before != after for before, after in pairwise(said[1:]))
    marks = [int(row["ts"]) for row in rows(streams["mark-price:BTC-USDT-SWAP"])]
    assert 3 <= len(marks) < 150  # as many as there are ticks of 200 ms
    assert max(after - before for before, after in pairwise(marks)) <= 10_000


def rows(frames: list[Any]) -> list[Any]:
    return [frame["data"][0] for frame in frames]
