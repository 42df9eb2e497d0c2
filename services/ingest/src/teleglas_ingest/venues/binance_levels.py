"""The levels of a book as Binance's markets write them → prices and sizes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.venues.schema import Level

__all__ = ["SIDES", "LevelParser", "LevelReader", "Levels", "general_parser", "level_reader"]

Levels = tuple[list[int], list[int], list[int], list[int]]
"""Prices and sizes of the bids, then of the asks."""
LevelParser = Callable[[msgspec.Raw, msgspec.Raw], Levels]
LevelReader = Callable[[bytes], Levels | None]

SIDES = b',"b":['
"""Where the levels begin in a depth frame; after them it ends."""

MAX_PLACES = 8
"""With ten digits before the dot, what fits 64 bits."""
_DIGITS = b"0123456789"
_ZEROED = bytes.maketrans(_DIGITS, b"0" * 10)
_LONG = b'"' + b"0" * 11
"""Eleven digits before the dot: more than any price, and most sizes."""
_NOT_NUMBERS = b'".[]a:}'


def general_parser(market: Market) -> LevelParser:
    """Raw JSON of bids and asks → levels, number by number; names what is wrong with one."""
    price, size = market.price, market.size
    rows = msgspec.json.Decoder(list[Level])

    def side(raw: bytes) -> tuple[list[int], list[int]]:
        levels = rows.decode(raw)
        return [price(p) for p, _ in levels], [size(s) for _, s in levels]

    def parse(bids: msgspec.Raw, asks: msgspec.Raw) -> Levels:
        return *side(bytes(bids)), *side(bytes(asks))

    return parse


def level_reader(price_places: int, size_places: int) -> LevelReader:
    """A frame's tail from the bids' bracket, `[["1.0","2.0"]],"a":[["1.1","2.0"]]}}` → levels.

    These venues print every number of a field with the same decimals. Then the rows without quotes,
    dots and brackets are a list of integers, which numpy reads at 30 ns each where `int` takes 130.
    The form is proven first, over the whole tail. Most often its shape, digits as zeros, is one row
    over and over, with as many digits before the dots as in the rows before. Otherwise the tail
    without digits is a fixed pattern, and each number ends in the expected decimals. None where the
    form is another, or a price is 0: the general parser reads that, or names what is wrong.
    """
    price_dot, size_dot = b"." * (price_places > 0), b"." * (size_places > 0)
    blank = b'["' + price_dot + b'","' + size_dot + b'"],'
    price_end = b"0" + price_dot + b"0" * price_places + b'","'
    size_end = b"0" + size_dot + b"0" * size_places + b'"]'
    any_end = size_end[:-1] if price_places == size_places else b""
    row = b'["0' + price_end + size_end + b","
    step = len(row)
    zeroed, digits, not_numbers = _ZEROED, _DIGITS, _NOT_NUMBERS
    int64, fromstring = np.int64, np.fromstring

    def ends_well(shape: bytes, levels: int) -> bool:
        if _LONG in shape:
            return False
        if any_end:
            return shape.count(any_end) == 2 * levels
        return shape.count(price_end) == levels and shape.count(size_end) == levels

    def learn(tail: bytes, shape: bytes) -> tuple[int, int] | None:
        """How many bids and asks a tail of another shape has; its first row is the next `row`."""
        nonlocal row, step
        pattern = tail.translate(None, digits)
        middle, width = pattern.find(b"a"), len(blank)
        bids, asks = middle // width, (len(pattern) - middle) // width
        if pattern != _tail(blank, bids, asks) or not ends_well(shape, bids + asks):
            return None
        first = shape.find(b'["')
        row = shape[first : shape.find(b'"]', first)] + b'"],'
        step = len(row)
        return bids, asks

    def read(tail: bytes) -> Levels | None:
        shape = tail.translate(zeroed)
        middle = tail.find(b"a")
        bids, asks = middle // step, (len(tail) - middle) // step
        if shape != _tail(row, bids, asks):
            found = learn(tail, shape)
            if found is None:
                return None
            bids, asks = found
        text = tail.translate(None, not_numbers)
        if not bids or not asks:
            text = text.strip(b",")
            if not text:
                return [], [], [], []
        # By position, as keywords cost more than ten numbers do.
        values = fromstring(text, int64, -1, ",").tolist()  # type: ignore[call-overload]
        cut = 2 * bids
        bid_prices, ask_prices = values[:cut:2], values[cut::2]
        if 0 in bid_prices or 0 in ask_prices:
            return None
        return bid_prices, values[1:cut:2], ask_prices, values[cut + 1 :: 2]

    def nothing(tail: bytes) -> Levels | None:  # noqa: ARG001
        return None

    return read if max(price_places, size_places) <= MAX_PLACES else nothing


def _tail(row: bytes, bids: int, asks: int) -> bytes:
    """The tail in which every level is `row`, which ends in a comma."""
    return b"".join((b"[", (row * bids)[:-1], b'],"a":[', (row * asks)[:-1], b"]}}"))
