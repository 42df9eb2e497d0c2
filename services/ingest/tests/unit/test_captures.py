"""Recorded frames: books rebuilt from them hold what the venue itself said."""

import json
import re
from bisect import bisect_right
from collections import Counter
from typing import Any

import pytest

from teleglas_common.testing.realdata import realdata
from teleglas_ingest.domain.book import BookSync, SyncState
from teleglas_ingest.domain.continuity import ChainRule, Continuity, JoinRule, RangeRule
from teleglas_ingest.domain.events import BookChange, Channel, Ticker, Trade
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.domain.progress import SourceClock, VenueClock
from teleglas_ingest.domain.tape import Seen, TradeTape
from teleglas_ingest.pipeline.shard import ShardPolicy
from teleglas_ingest.testing import FakeRest, inverse_swap, recorded, spot, usdm
from teleglas_ingest.venues import VENUES
from teleglas_ingest.venues import binance_wire as wire
from teleglas_ingest.venues.okx import mapping as okx

pytestmark = pytest.mark.realdata


class Replayed:
    """A capture through a venue's routes: book, tape and the comparisons with bookTicker."""

    def __init__(self, venue: Any, market: Market, rule: Continuity) -> None:
        self.venue, self.market = venue, market
        self.book = BookSync(rule, first_epoch=1)
        self.tape = TradeTape()
        self.trades = self.breaks = 0
        self._quotes: list[Ticker] = []
        self._tops: list[tuple[int, int, int, int, int]] = []
        streams = venue.streams(market, list(Channel))
        self._routes = venue.routes(streams, {market.instrument.venue_symbol: market})

    def feed(self, ts: int, frame: bytes) -> None:
        key = self.venue.key(frame).replace(b"@0ms", b"@100ms")
        if key in self._routes:
            for event in self._routes[key][1](frame, ts):
                self._take(event)
        elif b"lastUpdateId" in frame[:40]:
            self._snapshot(ts, frame)

    def _snapshot(self, ts: int, body: bytes) -> None:
        venue = self.venue
        parse = _level_parser(self.market)
        change = wire.book_change(self.market, venue._book.decode(body), parse, ts)
        self.book.on_change(change)

    def _take(self, event: object) -> None:
        if isinstance(event, Trade):
            self.trades += 1
            assert self.tape.see(event.sequence, event.ts_event) is Seen.NEXT
        elif isinstance(event, Ticker) and event.sequence is not None:
            self._quotes.append(event)
        elif isinstance(event, BookChange):
            _, broken = self.book.on_change(event)
            self.breaks += broken is not None
            if self.book.state is SyncState.LIVE:
                self._note(event.last)

    def _note(self, last: int) -> None:
        book = self.book.book
        bid, ask = book.best_bid, book.best_ask
        assert bid is not None
        assert ask is not None
        self._tops.append((last, bid, book.bids[bid], ask, book.asks[ask]))

    def agreement(self) -> tuple[int, int]:
        """Sides that agree, sides compared: each delta with the newest bookTicker up to it."""
        quotes = sorted(self._quotes, key=lambda quote: quote.sequence or 0)
        ids = [quote.sequence or 0 for quote in quotes]
        agreed = compared = 0
        for last, *top in self._tops:
            index = bisect_right(ids, last) - 1
            if index >= 0:
                q = quotes[index]
                compared += 2
                agreed += [q.bid_price, q.bid_size] == top[:2]
                agreed += [q.ask_price, q.ask_size] == top[2:]
        return agreed, compared


def _level_parser(market: Market) -> wire.LevelParser:
    instrument = market.instrument
    return wire.level_parser(market, -instrument.price_exponent, -instrument.size_exponent)


@pytest.mark.parametrize(
    ("name", "files", "market", "trades"),
    [
        ("binance", ("spot_btcusdt_20240808", "spot_btcusdt_20240809"), spot(), 19_904),
        (
            "binance",
            ("spot_ethusdt_20240808", "spot_ethusdt_20240809"),
            spot(symbol="ETH-USDT"),
            14_515,
        ),
    ],
)
def test_a_spot_book_agrees_with_the_recorded_book_ticker(
    name: str, files: tuple[str, ...], market: Market, trades: int
) -> None:
    """In at least 99.5 % best price and size are the venue's; no trade is missing."""
    replayed = Replayed(VENUES[name](FakeRest(), "ws://x"), market, RangeRule())
    for file in files:
        for ts, frame in recorded(realdata("captures", "binance", f"{file}.gz")):
            replayed.feed(ts, frame)
    agreed, compared = replayed.agreement()
    share = agreed / compared
    print(f"{files[0]}: {share:.4%} of {compared} comparisons agree")  # noqa: T201
    assert replayed.trades == trades
    assert replayed.breaks == 0
    assert compared > 5_000
    assert share >= 0.995


@pytest.mark.parametrize(
    ("name", "file", "market"),
    [
        ("binance", "spot_btcusdt_20240808", spot()),
        ("binance", "spot_ethusdt_20240808", spot(symbol="ETH-USDT")),
        ("binance-usdm", "usdm_btcusdt_20240719", usdm()),
    ],
)
def test_no_recorded_trade_comes_behind_a_mark(name: str, file: str, market: Market) -> None:
    """Whenever a mark is given: on spot the books run up to 190 ms ahead of the trades."""
    venue: Any = VENUES[name](FakeRest(), "ws://x")
    symbol = market.instrument.venue_symbol
    routes = venue.routes(venue.streams(market, list(Channel)), {symbol: market})
    policy = ShardPolicy()
    clock = SourceClock(
        VenueClock(),
        slack_ns=policy.progress_slack_ms * 1_000_000,
        skew_ns=policy.progress_skew_ms * 1_000_000,
    )
    promised = newest = trades = 0
    for ts, frame in recorded(realdata("captures", "binance", f"{file}.gz")):
        key = venue.key(frame).replace(b"@0ms", b"@100ms")
        for event in routes[key][1](frame, ts) if key in routes else ():
            if isinstance(event, Trade):
                trades += 1
                assert event.ts_event > promised
                newest = event.ts_event
            clock.see(event.ts_event)
        promised = max(promised, clock.mark(newest))
    assert trades > 5_000


def test_a_usdm_book_agrees_with_the_recorded_book_ticker() -> None:
    """Its continuity is `pu`; its prints are all of the market."""
    replayed = Replayed(VENUES["binance-usdm"](FakeRest(), "ws://x"), usdm(), JoinRule())
    for file in ("usdm_btcusdt_20240718", "usdm_btcusdt_20240719"):
        for ts, frame in recorded(realdata("captures", "binance", f"{file}.gz")):
            replayed.feed(ts, frame)
    agreed, compared = replayed.agreement()
    share = agreed / compared
    print(f"usdm: {share:.4%} of {compared} comparisons agree")  # noqa: T201
    assert (replayed.trades, replayed.breaks) == (10_701, 0)
    assert share >= 0.995


def test_every_recorded_okx_checksum_matches() -> None:
    """A book with one wrong level would miss the venue's checksum."""
    markets = {
        "BTC-USDT": spot("okx", dash=True),
        "UNI-USD-SWAP": inverse_swap("UNI-USD-PERP"),
        "BTC-USD-220527": inverse_swap(),
    }
    markets["UNI-USD-SWAP"].price = spot().price
    routes = {symbol: okx.book_route(market) for symbol, market in markets.items()}
    books = {s: BookSync(ChainRule(), first_epoch=1, in_band=True) for s in markets}
    checked: Counter[str] = Counter()
    for line in realdata("captures", "venues", "OKX.ws.1.0").read_text().splitlines():
        found = re.match(r"[\d.]+: (\{.*)", line)
        if found is None or '"checksum"' not in line:
            continue
        frame = found[1].encode()
        symbol = json.loads(frame)["arg"]["instId"]
        for change in routes[symbol](frame, 0):
            assert isinstance(change, BookChange)
            assert change.checksum
            _, broken = books[symbol].on_change(change)
            assert broken is None
            checked[symbol] += 1
    assert sum(checked.values()) == 290
