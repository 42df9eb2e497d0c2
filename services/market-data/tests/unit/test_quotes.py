"""Tickers brought up to date by what changed."""

from __future__ import annotations

import psutil

from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.types_pb2 import Decimal
from teleglas_market_data.adapters.quotes import merge_ticker


def test_what_an_update_leaves_unset_stays() -> None:
    known = Ticker(bid_price=100, ask_price=101, ts_event=5, price_exponent=-2, source="a")
    merged = merge_ticker(known, Ticker(bid_price=99, ts_event=4, price_exponent=-2, source="b"))
    assert (merged.bid_price, merged.ask_price, merged.ts_event) == (99, 101, 5)
    assert merged.source == "b"
    assert (known.bid_price, known.source) == (100, "a")


def test_prices_go_over_to_the_finer_exponent() -> None:
    known = Ticker(bid_price=100, bid_size=7, price_exponent=-1, size_exponent=-3)
    merged = merge_ticker(known, Ticker(ask_price=1015, price_exponent=-2, size_exponent=-2))
    assert (merged.bid_price, merged.ask_price, merged.price_exponent) == (1000, 1015, -2)
    assert (merged.bid_size, merged.size_exponent) == (7, -3)


def test_a_rate_of_zero_replaces_what_was() -> None:
    known = Ticker(funding_rate=Decimal(mantissa=5, exponent=-4))
    merged = merge_ticker(known, Ticker(funding_rate=Decimal(exponent=-4)))
    assert merged.HasField("funding_rate")
    assert (merged.funding_rate.mantissa, merged.funding_rate.exponent) == (0, -4)


def test_a_ticker_does_not_grow_by_its_updates() -> None:
    """Some hundred a second come for months."""
    known = Ticker()

    def merge(count: int) -> None:
        nonlocal known
        for number in range(count):
            known = merge_ticker(known, Ticker(source=f"binance/0/tickers-{number:040}"))

    merge(5_000)
    before = psutil.Process().memory_info().rss
    merge(50_000)
    assert psutil.Process().memory_info().rss - before < 1 << 20
