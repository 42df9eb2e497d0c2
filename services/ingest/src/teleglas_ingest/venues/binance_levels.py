"""The levels of a book as Binance's markets write them → prices and sizes."""

from __future__ import annotations

import sys
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
    over and over, with as many digits before the dots as in the rows before. None where the form is
    not the expected one, or a price is 0: the general parser reads that, or names what is wrong.
    """
    learn = _learner(price_places, size_places)
    row, step = b"", sys.maxsize  # none yet: fits only where both sides are empty
    zeroed, not_numbers, int64, fromstring = _ZEROED, _NOT_NUMBERS, np.int64, np.fromstring

    def read(tail: bytes) -> Levels | None:
        nonlocal row, step
        shape = tail.translate(zeroed)
        middle = tail.find(b"a")
        bids, asks = middle // step, (len(tail) - middle) // step
        if shape != _tail(row, bids, asks):
            found = learn(tail, shape)
            if found is None:
                return None
            bids, asks, row = found
            step = len(row)
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

    return read


def _learner(
    price_places: int, size_places: int
) -> Callable[[bytes, bytes], tuple[int, int, bytes] | None]:
    """(tail, its shape) → how many bids and asks in rows of any widths, and the shape of a row.

    Without its digits the tail is a fixed pattern, and each number ends in the expected decimals.
    """
    price_dot, size_dot = b"." * (price_places > 0), b"." * (size_places > 0)
    blank = b'["' + price_dot + b'","' + size_dot + b'"],'
    price_end = b"0" + price_dot + b"0" * price_places + b'","'
    size_end = b"0" + size_dot + b"0" * size_places + b'"]'
    joint = size_end + b',["'
    known = max(price_places, size_places) <= MAX_PLACES

    def learn(tail: bytes, shape: bytes) -> tuple[int, int, bytes] | None:
        pattern = tail.translate(None, _DIGITS)
        middle, width = pattern.find(b"a"), len(blank)
        bids, asks = middle // width, (len(pattern) - middle) // width
        if not known or _LONG in shape or pattern != _tail(blank, bids, asks):
            return None
        # No digit may stand outside the numbers: each bracket is proven with what is around it.
        start = b'[["' if bids else b"["
        middle_part = (size_end if bids else b"[") + b'],"a":[' + (b'["' if asks else b"]}}")
        end = size_end + b"]}}" if asks else b"[]}}"
        joints = max(bids - 1, 0) + max(asks - 1, 0)
        if not (shape.startswith(start) and middle_part in shape and shape.endswith(end)):
            return None
        if shape.count(price_end) != bids + asks or shape.count(joint) != joints:
            return None
        first = shape.find(b'["')
        return bids, asks, shape[first : shape.find(b'"]', first)] + b'"],'

    return learn


def _tail(row: bytes, bids: int, asks: int) -> bytes:
    """The tail in which every level is `row`, which ends in a comma."""
    return b"".join((b"[", (row * bids)[:-1], b'],"a":[', (row * asks)[:-1], b"]}}"))
