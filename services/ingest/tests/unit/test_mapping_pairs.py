"""Frames of five venues and what a mapper that others trust makes of them."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from teleglas_common.testing.realdata import realdata
from teleglas_ingest.domain.events import BookChange, Event, Liquidation, Side, Ticker, Trade
from teleglas_ingest.domain.instrument import Instrument, Kind, Market, Status
from teleglas_ingest.domain.numbers import Exact
from teleglas_ingest.testing import FakeRest
from teleglas_ingest.venues import binance_wire
from teleglas_ingest.venues.binance import mapping as spot_mapping
from teleglas_ingest.venues.binance_usdm import mapping as usdm_mapping
from teleglas_ingest.venues.binance_usdm.schemas import OpenInterestBody
from teleglas_ingest.venues.okx import mapping as okx_mapping
from teleglas_ingest.venues.okx.client import Okx

pytestmark = pytest.mark.realdata

OURS = {"binance", "binance-futures", "okex", "okex-swap"}
RECEIVED = 1_567_296_001_275_000_000


def market(venue: str, symbol: str, *, places: int) -> Market:
    """Wide exponents: the pairs name instruments whose steps are not recorded."""
    return Market(
        Instrument(
            venue=venue,
            symbol=symbol,
            venue_symbol=symbol,
            kind=Kind.SPOT,
            base="B",
            quote="Q",
            settle="Q",
            tick_size=Exact(1, -places),
            lot_size=Exact(1, -places),
            status=Status.TRADING,
            price_exponent=-places,
            size_exponent=-places,
        )
    )


def events_of(exchange: str, raw: dict[str, Any]) -> list[Event] | None:
    """What our mapper makes of a frame; None where we do not speak its channel."""
    frame = json.dumps(raw, separators=(",", ":")).encode()
    if exchange.startswith("okex"):
        if "arg" not in raw:
            return None
        channel, symbol = raw["arg"]["channel"], raw["arg"]["instId"]
        route = {
            "trades": okx_mapping.trade_route,
            "trades-all": okx_mapping.trade_route,
            "books-l2-tbt": okx_mapping.book_route,
            "bbo-tbt": okx_mapping.bbo_route,
            "tickers": okx_mapping.ticker_route,
            "mark-price": okx_mapping.mark_route,
            "funding-rate": okx_mapping.funding_route,
        }[channel]
        return list(route(market("okx", symbol, places=8))(frame, RECEIVED))
    name, _, channel = raw["stream"].partition("@")
    mapping = usdm_mapping if exchange == "binance-futures" else spot_mapping
    found = market(exchange, name.upper(), places=8)
    if channel == "depthSnapshot":
        body = json.dumps(raw["data"]).encode()
        decoded = msgspec.json.decode(body, type=binance_wire.BookBody)
        parse = binance_wire.level_parser(found, 8, 8)
        return [binance_wire.book_change(found, decoded, parse, RECEIVED)]
    if channel == "openInterest":
        interest = OpenInterestBody(**_snake(raw["data"]))
        return [usdm_mapping.open_interest(found, interest, RECEIVED)]
    if channel == "aggTrade":
        return []  # an id space of its own, which we do not follow
    route = {
        "trade": mapping.trade_route,
        "bookTicker": mapping.book_ticker_route,
        "depth": mapping.depth_route,
        "markPrice": getattr(mapping, "mark_price_route", None),
        "forceOrder": getattr(mapping, "force_order_route", None),
    }[channel]
    assert route is not None
    return list(route(found)(frame, RECEIVED))


def _snake(data: dict[str, Any]) -> dict[str, Any]:
    return {"symbol": data["symbol"], "open_interest": data["openInterest"]}


def pairs() -> list[dict[str, Any]]:
    path = realdata("mappings", "raw_to_normalized_pairs.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def ns(text: str) -> int:
    parsed = datetime.fromisoformat(text)
    return int(parsed.timestamp()) * 10**9 + parsed.microsecond * 1000


def same(mantissa: int | None, exponent: int, value: float | None) -> bool:
    """Our exact number is the one that the other mapper holds as a float."""
    if mantissa is None or value is None:
        return mantissa is None and value is None
    return float(Decimal(mantissa).scaleb(exponent)) == value


def exactly(value: Exact | None, other: float | None) -> bool:
    return other is None or (value is not None and same(value.mantissa, value.exponent, other))


def agree(event: Event, expected: dict[str, Any], raw: dict[str, Any]) -> None:
    """Hold one event against one expectation, field by field that the frame itself carries."""
    instrument = event.market.instrument
    p, s = instrument.price_exponent, instrument.size_exponent
    kind = expected["type"]
    if kind == "trade":
        assert isinstance(event, Trade)
        assert str(event.sequence) == expected["id"]
        assert same(event.price, p, expected["price"])
        assert same(event.size, s, expected["amount"])
        assert Side(event.side).name.lower() == expected["side"]
        assert event.ts_event == ns(expected["timestamp"])
    elif kind == "liquidation":
        assert isinstance(event, Liquidation)
        assert same(event.price, p, expected["price"])
        assert same(event.size, s, expected["amount"])
        assert Side(event.side).name.lower() == expected["side"]
        assert event.ts_event == ns(expected["timestamp"])
    elif kind == "book_change":
        assert isinstance(event, BookChange)
        for side, prices, sizes in (
            ("bids", event.bid_prices, event.bid_sizes),
            ("asks", event.ask_prices, event.ask_sizes),
        ):
            levels = zip(prices, sizes, strict=True)
            assert [
                (float(Decimal(a).scaleb(p)), float(Decimal(b).scaleb(s))) for a, b in levels
            ] == [(level["price"], level["amount"]) for level in expected[side]]
        assert event.is_snapshot == expected["isSnapshot"]
    elif kind == "book_ticker":
        assert isinstance(event, Ticker)
        assert same(event.bid_price, p, expected["bidPrice"])
        assert same(event.ask_price, p, expected["askPrice"])
        assert same(event.bid_size, s, expected["bidAmount"])
        assert same(event.ask_size, s, expected["askAmount"])
        # Where a frame has both, ours is the matching engine's time and theirs the feed's.
        transaction_ms = raw.get("data", {}).get("T") if isinstance(raw["data"], dict) else None
        if event.ts_event:
            assert event.ts_event == (
                transaction_ms * 10**6 if transaction_ms else ns(expected["timestamp"])
            )
    else:
        assert isinstance(event, Ticker)
        carried = json.dumps(raw)
        if event.last_price is not None:
            assert same(event.last_price, p, expected["lastPrice"])
        if event.mark_price is not None:
            assert same(event.mark_price, event.price_exponent, expected["markPrice"])
        if '"r"' in carried or '"fundingRate"' in carried:
            assert exactly(event.funding_rate, expected["fundingRate"])
            assert event.ts_next_funding == ns(expected["fundingTimestamp"])
        if "openInterest" in carried:
            assert exactly(event.open_interest, expected["openInterest"])


def test_every_pair_of_our_protocols_agrees() -> None:
    """Binance spot and USD-M and OKX v5: sides, ids, prices, sizes, times, rates."""
    spoken, unspoken, held_back = 0, [], 0
    for pair in pairs():
        given = pair["input"]
        exchange, raw, expected = given["exchange"], given["raw"], pair["expected"]
        name = f"{pair['test']} {pair['i']}"
        if exchange not in OURS:
            unspoken.append(f"{name}: {exchange}")
            continue
        events = events_of(exchange, raw)
        if events is None:
            unspoken.append(f"{name}: {exchange} before v5")
            continue
        if isinstance(expected, dict):
            continue  # filters of their own requests, no mapping
        if not expected:
            # Held back by them until a snapshot, or no market trade: ours is there and flagged.
            held_back += 1
            continue
        if pair["test"] in {"map binance messages", "map binance futures messages"} and raw.get(
            "stream", ""
        ).endswith("@depthSnapshot"):
            _agrees_with_snapshot(events, expected)
        else:
            for one in expected:
                agree(events[0], one, raw)
        spoken += 1
    print(f"agree: {spoken}, held back by them: {held_back}, not spoken: {unspoken}")  # noqa: T201
    assert spoken >= 20


def _agrees_with_snapshot(events: list[Event], expected: list[dict[str, Any]]) -> None:
    """Their snapshot has buffered deltas merged in: each level is the snapshot's or a delta's."""
    (event,) = events
    assert isinstance(event, BookChange)
    theirs = {level["price"]: level["amount"] for level in expected[0]["bids"]}
    ours = {
        float(Decimal(p).scaleb(-8)): float(Decimal(s).scaleb(-8))
        for p, s in zip(event.bid_prices, event.bid_sizes, strict=True)
    }
    assert set(ours) <= set(theirs)
    assert sum(ours[price] != theirs[price] for price in ours) <= 1


def test_insurance_fund_pair_is_flagged_and_not_a_market_trade() -> None:
    """They drop it; we publish it with its kind."""
    pair = next(p for p in pairs() if "INSURANCE_FUND" in json.dumps(p["input"]["raw"]))
    events = events_of(pair["input"]["exchange"], pair["input"]["raw"])
    assert events is not None
    (trade,) = events
    assert isinstance(trade, Trade)
    assert trade.print != 1


def test_okx_speaks_every_channel_that_it_subscribes() -> None:
    """The client under test is the one of the venue."""
    assert Okx(FakeRest(), "ws://x").name == "okx"
