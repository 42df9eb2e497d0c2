"""Summaries over a restart."""

from __future__ import annotations

from market_data_rig import FakeStore

from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.summary import Quote
from teleglas_market_data.ports import StoredCandle
from teleglas_market_data.summary_desk import SummaryDesk

SECOND_NS = 1_000_000_000
MARKET = ("okx", "BTC-USD-PERP")


def second(at: int, exponents: tuple[int, int]) -> StoredCandle:
    bar = Bar(at, at, 1, 100, 100, 100, at, 1, 100, 5, 500, 5, 500, 1)
    return StoredCandle(*MARKET, 0, *exponents, True, at + SECOND_NS - 1, bar)


async def test_a_market_younger_than_a_minute_is_summarised_after_a_restart() -> None:
    """Its exponents come back though no closed minute says them."""
    desk = SummaryDesk(SECOND_NS)
    desk.close([second(7 * SECOND_NS, (-1, -2))], late=False)
    restarted = SummaryDesk(SECOND_NS)
    for name, state in desk.states().items():
        assert name == "summary/okx:BTC-USD-PERP"
        restarted.load(MARKET, state)
    await restarted.refill(FakeStore(), {MARKET: 0})
    restarted.quoted(MARKET, Quote(ts_event=8 * SECOND_NS, exponent=-1, bid=99, ask=101), 8)
    assert restarted.release(MARKET, 9 * SECOND_NS)
    assert restarted.exponents[MARKET] == (-1, -2)
