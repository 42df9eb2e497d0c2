"""The short cuts of the hot paths against the general ways, on frames of any form."""

import re
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from teleglas_ingest.domain.events import BookChange, Event
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.domain.numbers import MAX_PRICE, RefusedError, parser, scaled
from teleglas_ingest.ports import Route
from teleglas_ingest.testing import spot, usdm
from teleglas_ingest.venues.binance import mapping as spot_mapping
from teleglas_ingest.venues.binance import schemas as spot_schemas
from teleglas_ingest.venues.binance_levels import general_parser, level_reader
from teleglas_ingest.venues.binance_usdm import mapping as usdm_mapping
from teleglas_ingest.venues.binance_usdm import schemas as usdm_schemas

Rows = list[tuple[str, str]]

SEEDS = st.integers(0, 2**32)
PLACES = [(8, 8), (8, 4), (2, 3), (2, 2), (5, 0), (0, 0)]
ODD = [
    *("", ".", "-1.0", "+1.0", "NaN", "Infinity", "1e5", "1_0.0", " 1.0", "1.0 ", "0", "0.0"),
    *("9" * 11 + ".0", "9" * 19 + ".0", "1.000000001", ".5", "5.", "1.2.3", "00.0"),
    *("１.0", "٣.0", "²", "１.00000000", ".50000000", "1.5", "7"),
]
HEADS = {
    "spot": b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1721347022956,'
    b'"s":"BTCUSDT","U":11,"u":12',
    "usdm": b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1721347022999,'
    b'"T":1721347022956,"s":"BTCUSDT","U":11,"u":12,"pu":10',
}
ROUTES: dict[str, tuple[Market, Callable[[Market], Route], Any]] = {
    "spot": (spot(), spot_mapping.depth_route, spot_schemas.DepthFrame),
    "usdm": (usdm(), usdm_mapping.depth_route, usdm_schemas.DepthFrame),
}


def number(whole: str, fraction: str, places: int) -> str:
    """With as many decimals as the venue prints."""
    return f"{whole}.{fraction[:places].ljust(places, '0')}" if places else whole


def sides(random: Random, places: tuple[int, int], *, odd: bool) -> tuple[Rows, Rows]:
    """Bids and asks as the venue writes them, with numbers that it never wrote where `odd`."""

    def any_number(decimals: int) -> str:
        if odd and random.random() < 0.15:
            return random.choice(ODD)
        whole = random.choice([random.randrange(10), random.randrange(60_000, 62_000)])
        if random.random() < 0.1:
            whole = random.randrange(10 ** random.randrange(1, 11))
        fraction = random.choice(["0", "05", f"{random.randrange(10**8):08}"])
        return number(str(whole), fraction, decimals)

    def side() -> Rows:
        rows = range(random.randrange(5))
        return [(any_number(places[0]), any_number(places[1])) for _ in rows]

    return side(), side()


def tail(bids: Rows, asks: Rows) -> bytes:
    return msgspec.json.encode(bids) + b',"a":' + msgspec.json.encode(asks) + b"}}"


def outcome(read: Callable[[], Any]) -> tuple[str, Any]:
    """What comes of a read: its value, or the kind of its refusal."""
    try:
        return "value", read()
    except RefusedError as error:
        return "refused", error.reason
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "malformed", None


def decimals(text: str, places: int) -> int:
    return scaled(text, -places)


@given(SEEDS, st.sampled_from(PLACES))
def test_level_reader_gives_what_decimal_arithmetic_gives(
    seed: int, places: tuple[int, int]
) -> None:
    """One reader keeps the last row's shape: several tails go through the same one."""
    random = Random(seed)
    read = level_reader(*places)
    for _ in range(5):
        bids, asks = sides(random, places, odd=False)
        levels = read(tail(bids, asks))
        zero = any(decimals(p, places[0]) == 0 for p, _ in (*bids, *asks))
        if zero:
            assert levels is None
            continue
        assert levels == (
            [decimals(p, places[0]) for p, _ in bids],
            [decimals(s, places[1]) for _, s in bids],
            [decimals(p, places[0]) for p, _ in asks],
            [decimals(s, places[1]) for _, s in asks],
        )


@given(SEEDS, st.sampled_from(["spot", "usdm"]))
def test_depth_route_agrees_with_the_general_way_on_any_levels(seed: int, name: str) -> None:
    """Equal events of what is well-formed, the same refusal of what is not."""
    random = Random(seed)
    market, make, _ = ROUTES[name]
    instrument = market.instrument
    places = (-instrument.price_exponent, -instrument.size_exponent)
    route = make(market)
    for odd in (False, True, False, True):
        bids, asks = sides(random, places, odd=odd)
        frame = HEADS[name] + b',"b":' + tail(bids, asks)
        agree(name, route, frame)


MESS = st.sampled_from(
    [
        *(b"", b" ", b",", b".", b'"', b"[", b"]", b"{", b"}", b"-", b"0", b"7", b"0" * 11, b"a"),
        *(
            b'"b":0',
            b',"b":[',
            b'],"a":[',
            b'["1.00000000","1.00000000"]',
            b"\xff",
            b"\xef\xbc\x91",
        ),
        *(b'"zz":{', b'},"zz":{', b"}}"),
    ]
)


@given(
    st.sampled_from(["spot", "usdm"]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), MESS), min_size=1, max_size=3),
)
@example("spot", [(78, 0, b'"U":1,"u":1},"zz":{')])
@example("spot", [(len(HEADS["spot"]), 0, b'},"zz":{"q":1')])
def test_depth_route_agrees_with_the_general_way_on_damaged_frames(
    name: str, damages: list[tuple[int, int, bytes]]
) -> None:
    """Bytes cut out, put in and replaced anywhere in a frame of the venue."""
    market, make, _ = ROUTES[name]
    p, s = (-market.instrument.price_exponent, -market.instrument.size_exponent)
    rows = [(number(w, "63", p), number("0", "5", s)) for w in ("61737", "61738", "61739")]
    frame = HEADS[name] + b',"b":' + tail(rows, rows[:2])
    route = make(market)
    agree(name, route, frame)
    for at, length, put in damages:
        start = at % (len(frame) + 1)
        frame = frame[:start] + put + frame[start + length :]
    agree(name, route, frame)


def agree(name: str, route: Route, frame: bytes) -> None:
    """Hold the route's answer to that of whole decoding and number-by-number parsing."""
    market, _, schema = ROUTES[name]

    def general() -> Any:
        data = msgspec.json.decode(frame, type=schema).data
        return (data.first_id, data.final_id, *general_parser(market)(data.bids, data.asks))

    def fast() -> Any:
        (event,) = route(frame, 1)
        return fields(event)

    assert outcome(fast) == outcome(general), frame


def fields(event: Event) -> tuple[Any, ...]:
    assert isinstance(event, BookChange)
    return (
        event.first,
        event.last,
        event.bid_prices,
        event.bid_sizes,
        event.ask_prices,
        event.ask_sizes,
    )


@pytest.mark.parametrize("digit", ["１", "٣", "²"])
def test_parser_refuses_digits_that_are_not_ascii(digit: str) -> None:
    """`int` would take them, with exactly the expected decimals too."""
    for text in (f"{digit}.00000000", f"1.0000000{digit}"):
        with pytest.raises(RefusedError) as caught:
            parser(-8, most=MAX_PRICE)(text)
        assert caught.value.reason == "not_decimal"


@given(st.text("0123456789.-+_ e１²", max_size=24))
def test_parser_takes_only_plain_decimals(text: str) -> None:
    """What it returns stood there as digits and a dot."""
    try:
        value = parser(-8, most=MAX_PRICE, zero=True)(text)
    except RefusedError:
        return
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", text)
    assert value == scaled(text, -8)
