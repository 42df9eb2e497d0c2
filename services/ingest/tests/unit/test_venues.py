"""One suite that every venue passes, whatever its protocol."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import pytest

from teleglas_ingest.domain.events import (
    BookChange,
    Channel,
    Event,
    Liquidation,
    Print,
    Side,
    SpentTradeId,
    Ticker,
    Trade,
)
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.domain.numbers import Exact, RefusedError
from teleglas_ingest.pipeline.plan import plan_links
from teleglas_ingest.ports import Ack, Failure, Notice, Rest, Venue
from teleglas_ingest.testing import FakeRest, inverse_swap, linear_swap, spot, usdm
from teleglas_ingest.venues import VENUES

T = 1_721_347_022_956
NS = T * 1_000_000


class Case(NamedTuple):
    """A venue, a market of it, and what it sends."""

    name: str
    market: Market
    trade: bytes
    delta: bytes
    ack: bytes
    error: bytes
    notice: bytes
    rest: dict[str, bytes]
    newest: str
    instrument: str


BINANCE = Case(
    "binance",
    spot(),
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1721347022999,"s":"BTCUSDT","t":7,'
    b'"p":"61837.63000000","q":"0.02000000","T":1721347022956,"m":true,"M":true}}',
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1721347022956,"s":"BTCUSDT",'
    b'"U":11,"u":12,"b":[["61737.63000000","0.00000000"]],"a":[["61839.85000000","1.50000000"]]}}',
    b'{"result":null,"id":3}',
    b'{"code":2,"msg":"Invalid request: too many parameters","id":3}',
    b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
    {
        "/api/v3/depth": b'{"lastUpdateId":99,"bids":[["4.00000000","431.00000000"]],"asks":[]}',
        "/api/v3/trades": b'[{"id":28457,"price":"4.00000100","qty":"12.00000000",'
        b'"time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}]',
        "/api/v3/historicalTrades": b'[{"id":8,"price":"4.1","qty":"1","time":1499865549590,'
        b'"isBuyerMaker":true},{"id":9,"price":"4.1","qty":"2","time":1499865549591,'
        b'"isBuyerMaker":false}]',
        "/api/v3/exchangeInfo": b'{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":'
        b'"BTC","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01000000"},'
        b'{"filterType":"LOT_SIZE","stepSize":"0.00001000"}]},{"symbol":"X","status":"BREAK",'
        b'"baseAsset":"X","quoteAsset":"Y","filters":[]}]}',
    },
    "28457",
    "BTC-USDT",
)
USDM = Case(
    "binance-usdm",
    usdm(),
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1721347022999,"T":1721347022956,'
    b'"s":"BTCUSDT","t":7,"p":"61837.63","q":"0.020","X":"MARKET","m":true}}',
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1721347022999,'
    b'"T":1721347022956,"s":"BTCUSDT","U":11,"u":12,"pu":10,"b":[["61737.63","0.000"]],'
    b'"a":[["61839.85","1.500"]]}}',
    b'{"id":3,"result":null}',
    b'{"error":{"code":2,"msg":"Invalid request"},"id":3}',
    b'{"e":"serverShutdown","E":1770123456789}',
    {
        "/fapi/v1/depth": b'{"lastUpdateId":99,"E":1721347022759,"T":1721347022750,'
        b'"bids":[["4.00","431.000"]],"asks":[]}',
        "/fapi/v1/trades": b'[{"id":8,"price":"4.1","qty":"1","time":1499865549590,'
        b'"isBuyerMaker":true},{"id":9,"price":"4.1","qty":"2","time":1499865549591,'
        b'"isBuyerMaker":false}]',
        "/fapi/v1/openInterest": b'{"openInterest":"10659.509","symbol":"BTCUSDT",'
        b'"time":1589437530011}',
        "/fapi/v1/exchangeInfo": b'{"symbols":[{"symbol":"BTCUSDT","pair":"BTCUSDT","status":'
        b'"TRADING","contractType":"PERPETUAL","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":'
        b'"USDT","pricePrecision":2,"quantityPrecision":3,"deliveryDate":4133404800000,"filters":['
        b'{"filterType":"PRICE_FILTER","tickSize":"0.10"},{"filterType":"LOT_SIZE","stepSize":'
        b'"0.001"}]}]}',
    },
    "9",
    "BTC-USDT-PERP",
)
_OKX_INSTRUMENTS = (
    b'{"code":"0","msg":"","data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","uly":"BTC-USDT",'
    b'"baseCcy":"","quoteCcy":"","settleCcy":"USDT","ctVal":"0.01","ctMult":"1","ctValCcy":"BTC",'
    b'"ctType":"linear","tickSz":"0.1","lotSz":"0.01","state":"live","expTime":""}]}'
)
_OKX_TRADES = (
    b'{"code":"0","msg":"","data":[{"instId":"BTC-USDT-SWAP","side":"sell","sz":"2","px":"29963.2",'
    b'"tradeId":"9","ts":"1654161646974"},{"instId":"BTC-USDT-SWAP","side":"buy","sz":"1","px":'
    b'"29964.1","tradeId":"8","ts":"1654161641568"}]}'
)
OKX = Case(
    "okx",
    linear_swap(),
    b'{"arg":{"channel":"trades-all","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",'
    b'"tradeId":"7","px":"61837.6","sz":"2","side":"sell","source":"0","ts":"1721347022956"}]}',
    b'{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":'
    b'[["61839.8","150","0","3"]],"bids":[["61737.6","0","0","0"]],"ts":"1721347022956",'
    b'"checksum":0,"prevSeqId":10,"seqId":12}]}',
    b'{"id":"3","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT-SWAP"},'
    b'"connId":"a4d3ae55"}',
    b'{"id":"3","event":"error","code":"60012","msg":"Invalid request","connId":"a4d3ae55"}',
    b'{"event":"notice","code":"64008","msg":"The connection will soon be closed","connId":"a"}',
    {
        "/api/v5/market/trades": _OKX_TRADES,
        "/api/v5/market/history-trades": _OKX_TRADES,
        "/api/v5/public/instruments": _OKX_INSTRUMENTS,
        "/api/v5/public/open-interest": b'{"code":"0","msg":"","data":[{"instType":"SWAP","instId":'
        b'"BTC-USDT-SWAP","oi":"2216113.01","oiCcy":"22161.1301","ts":"1743041250440"}]}',
    },
    "9",
    "BTC-USDT-PERP",
)
CASES = [BINANCE, USDM, OKX]


@pytest.fixture(params=CASES, ids=[case.name for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def venue_of(case: Case, rest: Rest | None = None) -> Venue:
    return VENUES[case.name](rest or FakeRest(case.rest), "ws://x/")


def read(case: Case, frame: bytes, market: Market | None = None) -> list[Event]:
    """What a frame becomes, by the route that its key finds."""
    venue, market = venue_of(case), market or case.market
    streams = venue.streams(market, list(Channel))
    routes = venue.routes(streams, {market.instrument.venue_symbol: market})
    _, route = routes[venue.key(frame)]
    return list(route(frame, 42))


def test_the_suite_covers_every_venue() -> None:
    """A venue that is added has to pass it too."""
    assert {case.name for case in CASES} == set(VENUES)


def test_a_trade_is_a_fill_with_the_takers_side_and_the_venues_time(case: Case) -> None:
    """Buyer maker means that the taker sold; the time is the matching engine's."""
    (trade,) = read(case, case.trade)
    assert isinstance(trade, Trade)
    instrument = case.market.instrument
    assert (trade.sequence, trade.side, trade.kind, trade.print) == (7, Side.SELL, 1, Print.MARKET)
    assert trade.price == round(61837.6 * 10**-instrument.price_exponent, -4) or str(
        trade.price
    ).startswith("618376")
    assert trade.size == 2 * 10 ** (-instrument.size_exponent - 2)
    assert (trade.ts_event, trade.ts_basis, trade.ts_ingest) == (NS, 1, 42)


def test_a_delta_keeps_absolute_sizes_and_its_place_in_the_sequence(case: Case) -> None:
    """A removal is a size of 0; both sides are parallel arrays."""
    (delta,) = read(case, case.delta)
    assert isinstance(delta, BookChange)
    assert not delta.is_snapshot
    assert delta.last == 12
    assert delta.bid_sizes == [0]
    assert delta.ask_sizes == [15 * 10 ** (-case.market.instrument.size_exponent - 1)]
    assert str(delta.ask_prices[0]).startswith("618398")
    assert delta.ts_event == NS


def test_spaces_and_another_order_of_fields_are_read_too(case: Case) -> None:
    """The cheap key is a short cut, not a demand on how a frame is written."""
    venue = venue_of(case)
    pretty = msgspec.json.format(case.trade, indent=1)
    routes = venue.routes(
        venue.streams(case.market, [Channel.TRADES]),
        {case.market.instrument.venue_symbol: case.market},
    )
    key = venue.parsed_key(pretty)
    assert key is not None
    (trade,) = routes[key][1](pretty, 42)
    assert isinstance(trade, Trade)
    assert trade.sequence == 7


def test_control_messages_are_told_apart(case: Case) -> None:
    """Acknowledgement, refusal and notice of a close, each with its request."""
    venue = venue_of(case)
    ack, failure = venue.control(case.ack), venue.control(case.error)
    assert isinstance(ack, Ack)
    assert isinstance(failure, Failure)
    assert (ack.request_id, failure.request_id) == (3, 3)
    assert isinstance(venue.control(case.notice), Notice)
    assert venue.control(case.trade) is None


def test_subscribe_and_unsubscribe_name_the_same_streams(case: Case) -> None:
    """Requests are JSON and carry their id."""
    venue = venue_of(case)
    streams = venue.streams(case.market, list(Channel))
    there = msgspec.json.decode(venue.subscribe(streams, 5))
    back = msgspec.json.decode(venue.unsubscribe(streams, 5))
    assert str(there["id"]) == str(back["id"]) == "5"
    assert (there.get("params") or there["args"]) == (back.get("params") or back["args"])


def test_every_stream_has_a_route(case: Case) -> None:
    """Nothing is subscribed that could not be read."""
    venue = venue_of(case)
    for plan in plan_links(venue, 0, [case.market], list(Channel)):
        markets = {case.market.instrument.venue_symbol: case.market}
        assert len(venue.routes(plan.streams, markets)) == len(plan.streams)
        assert venue.url(plan.path).startswith("ws://x/")
        assert len(plan.streams) <= venue.limits.streams_per_connection


async def test_rest_gives_the_newest_trade_and_a_range(case: Case) -> None:
    """Backfilled fills say so, and the page says what it covers."""
    venue = venue_of(case)
    newest = await venue.newest_trade(case.market, 1)
    assert newest is not None
    assert str(newest.sequence) == case.newest
    page = await venue.trades(case.market, 8, 9, 1)
    assert [(t.sequence, t.backfilled) for t in page.trades] == [(8, True), (9, True)]
    assert page.covers_from <= 8
    assert page.covers_to == 9


async def test_rest_gives_instruments_with_exact_steps(case: Case) -> None:
    """Canonical symbol, tick and lot; what cannot trade is left out."""
    found = await venue_of(case).instruments()
    instrument = next(i for i in found if i.symbol == case.instrument)
    assert instrument.tick_size.mantissa == 1
    assert instrument.lot_size.mantissa == 1
    assert instrument.price_exponent <= instrument.tick_size.exponent
    assert instrument.venue_symbol == case.market.instrument.venue_symbol


async def test_rest_gives_the_book_unless_it_comes_in_band(case: Case) -> None:
    """A snapshot has an id that deltas join."""
    venue = venue_of(case)
    book = await venue.book(case.market, 1)
    if venue.book_in_band:
        assert book is None
    else:
        assert book is not None
        assert (book.is_snapshot, book.last) == (True, 99)
        assert len(book.bid_prices) == 1


BROKEN: list[Callable[[bytes], bytes]] = [
    lambda f: f.replace(b"61837.6", b"NaN"),
    lambda f: f.replace(b"61837.6", b"-61837.6"),
    lambda f: f.replace(b"61837.6", b"99999999999999.6"),
    lambda f: f.replace(b'"61837.6', b'"6_1837.6'),
    lambda f: f.replace(b'"0.02', b'"0.00').replace(b'"sz":"2"', b'"sz":"0"'),
    lambda f: f.replace(b'"p":"', b'"p":["').replace(b'"px":"', b'"px":["'),
    lambda f: f.replace(b"1721347022956", b"99721347022956"),
    lambda f: f.replace(b'"t":7', b'"t":-7').replace(b'"tradeId":"7"', b'"tradeId":"-7"'),
    lambda f: f[: len(f) // 2],
    lambda f: f.replace(b'"m":true', b'"m":' + b"[" * 50_000),
]


@pytest.mark.parametrize("damage", BROKEN)
def test_a_damaged_trade_is_refused_never_guessed(
    case: Case, damage: Callable[[bytes], bytes]
) -> None:
    """NaN, negative, huge, zero, wrong types, wrong times and cut frames make no event."""
    frame = damage(case.trade)
    if frame == case.trade:
        pytest.skip("this damage does not apply to the venue's form")
    with pytest.raises((RefusedError, msgspec.MsgspecError, RecursionError)):
        read(case, frame)


def test_usdm_streams_stand_on_the_path_that_serves_them() -> None:
    """On the other path they would be acknowledged and stay silent."""
    paths = {s.name: s.path for s in venue_of(USDM).streams(usdm(), list(Channel))}
    assert paths == {
        "btcusdt@trade": "/public",
        "btcusdt@depth@100ms": "/public",
        "btcusdt@bookTicker": "/public",
        "btcusdt@ticker": "/market",
        "btcusdt@markPrice@1s": "/market",
        "btcusdt@forceOrder": "/market",
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("INSURANCE_FUND", Print.INSURANCE_FUND),
        ("ADL", Print.AUTO_DELEVERAGING),
        ("SOMETHING_NEW", Print.OTHER),
    ],
)
def test_usdm_prints_that_are_no_market_trades_are_flagged(kind: str, expected: Print) -> None:
    """They are published, and kept out of candles and whales by their kind."""
    (trade,) = read(USDM, USDM.trade.replace(b"MARKET", kind.encode()))
    assert isinstance(trade, Trade)
    assert trade.print == expected


def test_usdm_spent_ids_are_no_trades_and_no_holes() -> None:
    """The venue used the id up without a print; its price and size are 0."""
    frame = USDM.trade.replace(b"MARKET", b"NA").replace(b"61837.63", b"0").replace(b"0.020", b"0")
    assert [type(e) for e in read(USDM, frame)] == [SpentTradeId]


def test_usdm_mark_price_and_funding_keep_all_their_digits() -> None:
    """Finer than the tick: the ticker carries its own exponent."""
    frame = (
        b'{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1562305380000,'
        b'"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091","P":"11784.25641265",'
        b'"r":"-0.00038167","T":1562306400000}}'
    )
    (ticker,) = read(USDM, frame)
    assert isinstance(ticker, Ticker)
    assert (ticker.price_exponent, ticker.index_price) == (-8, 1_178_462_659_091)
    assert ticker.funding_rate == Exact(-38167, -8)
    assert ticker.ts_next_funding == 1_562_306_400_000_000_000


def test_usdm_liquidations_are_sampled_and_keep_what_was_filled() -> None:
    """SELL closes a long; totals of such a feed are lower bounds."""
    frame = (
        b'{"stream":"btcusdt@forceOrder","data":{"e":"forceOrder","E":1568014460893,"o":{"s":'
        b'"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9909.123456",'
        b'"X":"FILLED","l":"0.014","z":"0.013","T":1568014460893}}}'
    )
    (order,) = read(USDM, frame)
    assert isinstance(order, Liquidation)
    assert (order.side, order.price, order.size) == (Side.SELL, 991_000, 14)
    assert (order.average_price, order.filled_size, order.coverage) == (990_912, 13, 2)


def test_okx_sizes_become_base_quantity_with_the_contracts_beside() -> None:
    """Linear by the multiplier, inverse by the price too."""
    (trade,) = read(OKX, OKX.trade)
    assert isinstance(trade, Trade)
    assert (trade.size, trade.contracts) == (200, 200)
    frame = OKX.trade.replace(b"BTC-USDT-SWAP", b"BTC-USD-SWAP")
    (trade,) = read(OKX, frame, inverse_swap())
    assert isinstance(trade, Trade)
    assert trade.contracts == 2
    assert trade.size == round(2 * 100 / 61837.6 * 10**8)


def test_okx_aggregates_say_how_many_fills_they_stand_for() -> None:
    """The other channel merges fills; its last id names the message."""
    venue = venue_of(OKX)
    frame = OKX.trade.replace(b'"ts"', b'"count":"3","seqId":9,"ts"')
    (_, route) = next(
        iter(
            venue.routes(
                venue.streams(OKX.market, [Channel.TRADES]),
                {OKX.market.instrument.venue_symbol: OKX.market},
            ).values()
        )
    )
    (trade,) = route(frame, 1)
    assert isinstance(trade, Trade)
    assert (trade.kind, trade.fills) == (2, 3)


def test_okx_liquidations_of_contracts_that_we_do_not_follow_are_passed_over() -> None:
    """One stream carries all contracts of a type."""
    frame = (
        b'{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"instId":"X-USDT-SWAP",'
        b'"details":[{"side":"buy","sz":"1","bkPx":"1","ts":"1692266434010"}]},{"instId":'
        b'"BTC-USDT-SWAP","details":[{"bkLoss":"0","bkPx":"60000.1","ccy":"","posSide":"short",'
        b'"side":"buy","sz":"13","ts":"1692266434010"}]}]}'
    )
    (order,) = read(OKX, frame)
    assert isinstance(order, Liquidation)
    assert (order.side, order.size, order.contracts) == (Side.BUY, 1300, 1300)


def test_spot_book_ticker_has_no_time_of_the_venue() -> None:
    """Its time is unset and says so."""
    frame = (
        b'{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"25.35190000","B":'
        b'"31.21000000","a":"25.36520000","A":"40.66000000"}}'
    )
    (ticker,) = read(BINANCE, frame)
    assert isinstance(ticker, Ticker)
    assert (ticker.ts_event, ticker.ts_basis, ticker.sequence) == (0, 3, 5)
    assert (ticker.bid_price, ticker.ask_size) == (2_535_190_000, 4_066_000_000)


def test_links_are_packed_within_the_venues_limits() -> None:
    """Instruments that do not fit go on a further connection of the same path."""
    venue = venue_of(BINANCE)
    markets = [spot(symbol=f"A{n}-USDT") for n in range(10)]
    plans = plan_links(venue, 0, markets, list(Channel), streams_per_connection=9)
    assert [plan.source for plan in plans] == [f"binance/0/stream-{n}" for n in range(5)]
    assert all(len(plan.streams) <= 9 for plan in plans)
    assert sum(len(plan.streams) for plan in plans) == 40
