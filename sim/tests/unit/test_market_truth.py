import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from teleglas_sim.market.book import Side
from teleglas_sim.market.events import BookChanged, Event, Execution, Liquidated, ParentClosed
from teleglas_sim.market.whales import WhaleKind
from teleglas_sim.testing import Driven, drive
from teleglas_sim.truth import TruthLog, truth_record


def records(driven: Driven) -> list[dict[str, Any]]:
    closed = [*driven.events, *driven.market.close()]
    parents = [event.parent for event in closed if isinstance(event, ParentClosed)]
    return [truth_record(parent, driven.market.specs[parent.instrument]) for parent in parents]


async def test_truth_adds_up_to_the_trades_exactly() -> None:
    """Every market fill belongs to one parent order, and sizes and notionals are equal to the
    last digit.
    """
    driven = drive(rate=800, instruments=14)
    await driven.follow_all()
    driven.run(7)
    truth = records(driven)
    owned: dict[str, dict[int, str]] = {}
    for record in truth:
        ids = owned.setdefault(f"{record['venue']}:{record['symbol']}", {})
        for first, last in record["fills"]:
            for trade_id in range(first, last + 1):
                assert trade_id not in ids
                ids[trade_id] = record["id"]
    sums: dict[str, tuple[Decimal, Decimal, int]] = {}
    traded: dict[str, set[int]] = {}
    for key, frame in market_frames(driven):
        symbol, trade_id, price, size, inverse = frame
        traded.setdefault(key, set()).add(trade_id)
        parent = owned[key][trade_id]
        quote = size * 100 if inverse else size * price * multiplier(driven, key)
        total, notional, count = sums.get(f"{key}/{parent}", (Decimal(0), Decimal(0), 0))
        sums[f"{key}/{parent}"] = (total + size, notional + quote, count + 1)
        assert symbol in key
    assert {key: set(ids) for key, ids in owned.items()} == traded
    for record in truth:
        key = f"{record['venue']}:{record['symbol']}/{record['id']}"
        expected = (Decimal(record["size"]), Decimal(record["notional"]), record["fill_count"])
        assert sums[key] == expected


def multiplier(driven: Driven, key: str) -> Decimal:
    spec = next(s for s in driven.market.specs if f"{s.venue}:{s.symbol}" == key)
    return Decimal(str(spec.contract))


def market_frames(driven: Driven):
    for stream, frames in driven.by_stream().items():
        if stream.endswith("@trade"):
            venue = "binance-usdm" if stream.startswith("usdm/") else "binance"
            for frame in frames:
                if frame.get("X", "MARKET") == "MARKET":
                    price, size = Decimal(frame["p"]), Decimal(frame["q"])
                    yield f"{venue}:{frame['s']}", (frame["s"], frame["t"], price, size, False)
        elif stream.startswith("trades-all:"):
            for frame in frames:
                row = frame["data"][0]
                inverse = row["instId"] == "BTC-USD-SWAP"
                price, size = Decimal(row["px"]), Decimal(row["sz"])
                fill = (row["instId"], int(row["tradeId"]), price, size, inverse)
                yield f"okx:{row['instId']}", fill


def test_trades_consume_the_book() -> None:
    """A taker order takes exactly its fills from the levels it names, best first, and no more."""
    driven = drive(instruments=1, rate=50)
    instrument = driven.market.instruments[0]
    before = dict(instrument.book.asks.sizes)
    best_first = [price for price, _size in instrument.book.asks.levels(400)]
    market = driven.market
    market.plant(WhaleKind.SWEEP, 0, Side.BUY, 400_000.0)
    events: list[Event] = []
    instrument.makers.follow = lambda *_args: None  # type: ignore[method-assign]
    while not any(isinstance(event, Execution) and len(event.fills) > 3 for event in events):
        before = dict(instrument.book.asks.sizes)
        best_first = [price for price, _size in instrument.book.asks.levels(400)]
        events = driven.market.step()
    bought: dict[int, int] = {}
    for event in events:
        if isinstance(event, Execution) and event.side is Side.BUY:
            for _trade_id, price, size in event.fills:
                bought[price] = bought.get(price, 0) + size
    assert list(bought) == best_first[: len(bought)]
    after = instrument.book.asks.sizes
    for price, size in before.items():
        assert after.get(price, 0) == size - bought.get(price, 0)


def test_planted_whales_are_of_every_kind_and_stand_out() -> None:
    """Sweeps, blocks, sliced orders and cascades are planted, each far above ordinary orders."""
    driven = drive(rate=300, whale_interval_s=0.5, cascade_interval_s=10.0)
    driven.run(30)
    truth = records(driven)
    ours = [record for record in truth if record["symbol"] == "BTCUSDT"]
    ordinary = sorted(Decimal(record["notional"]) for record in ours if not record["planted"])
    planted = [record for record in truth if record["planted"]]
    assert {record["kind"] for record in planted} == {"sweep", "block", "sliced", "liquidation"}
    large = ordinary[int(len(ordinary) * 0.99)]
    whales = [r for r in planted if r["kind"] != "liquidation" and r["symbol"] == "BTCUSDT"]
    assert whales
    for record in whales:
        if record["kind"] == "sliced" and record["children"] < 10:
            continue
        assert Decimal(record["notional"]) > large
    sliced = [r for r in planted if r["kind"] == "sliced" and r["children"] >= 12]
    assert any(r["end_ms"] - r["start_ms"] > 5_000 for r in sliced)
    blocks = [r for r in planted if r["kind"] == "block"]
    assert all(r["price_before"] == r["price_worst"] for r in blocks)


def test_cascades_share_a_group_and_one_side() -> None:
    """A cascade's liquidations are forced to one side and named together."""
    driven = drive(rate=200, cascade_interval_s=2.0)
    driven.run(20)
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records(driven):
        if record["group"] is not None:
            groups.setdefault(record["group"], []).append(record)
    assert groups
    for members in groups.values():
        assert {record["kind"] for record in members} == {"liquidation"}
        assert len({(record["symbol"], record["side"]) for record in members}) == 1
    assert max(len(members) for members in groups.values()) >= 10
    assert any(isinstance(event, Liquidated) for event in driven.events)


def test_nothing_is_made_up_before_the_start_or_for_skipped_time() -> None:
    """A new market has no trades; a jump over lost time adds none."""
    driven = drive(rate=300)
    assert all(item.trades.next_id == item.trades.first_ever for item in driven.market.instruments)
    driven.run(1)
    count = sum(item.market_trades for item in driven.market.instruments)
    driven.market.skip(60_000)
    driven.run(0.01)
    later = sum(item.market_trades for item in driven.market.instruments)
    assert later - count < 100
    assert all(isinstance(e.ts_ms, int) for e in driven.events if isinstance(e, BookChanged))


def test_truth_log_writes_one_line_per_parent(tmp_path: Path) -> None:
    """With ordinary flow left out only planted and forced orders are written."""
    driven = drive(rate=600, whale_interval_s=1.0)
    driven.run(15)
    for flow in (True, False):
        log = TruthLog(tmp_path / "sub" / f"{flow}.jsonl", driven.market.specs, flow=flow)
        log.open()
        log.write(driven.events)
        log.close()
    everything = (tmp_path / "sub" / "True.jsonl").read_text().splitlines()
    planted = [json.loads(x) for x in (tmp_path / "sub" / "False.jsonl").read_text().splitlines()]
    assert len(everything) == sum(isinstance(e, ParentClosed) for e in driven.events)
    assert planted
    assert "flow" not in {record["kind"] for record in planted}


def test_books_stay_deep_and_narrow_under_load() -> None:
    """At a high rate with many whales no side runs dry or spreads without end."""
    driven = drive(rate=4000, whale_interval_s=0.5, cascade_interval_s=5.0)
    for _ in range(5):
        driven.run(1)
        for instrument in driven.market.instruments:
            bid, _bid_size, ask, _ask_size = instrument.book.top()
            assert bid < ask < bid * 1.01
            for side in (instrument.book.bids, instrument.book.asks):
                assert 300 < len(side) <= 400
                assert abs(side.worst / side.best - 1) < 0.2
