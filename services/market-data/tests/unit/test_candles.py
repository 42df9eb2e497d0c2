from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from market_data_driving import BASE_TS, Driver, content, row

from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.intervals import BY_NAME, DAY_NS, INTERVALS, MINUTE_NS, SECOND_NS
from teleglas_market_data.domain.rollup import roll_up
from teleglas_market_data.domain.state import dump_candles, load_candles
from teleglas_market_data.domain.trades import TradeRow

END = BASE_TS + 3 * DAY_NS
"""A Monday: every interval of a test's trades is over."""


@st.composite
def markets(draw: st.DrawFn) -> list[TradeRow]:
    """Trades in the venue's order, with equal times, quiet stretches, prints and missing ids."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 1, 3_000_000, SECOND_NS, 7 * SECOND_NS, 61 * SECOND_NS,
                                 400 * SECOND_NS, 3700 * SECOND_NS]),
                st.integers(90, 110),
                st.integers(1, 9),
                st.sampled_from([1, 2]),
                st.sampled_from([1, 1, 1, 2]),
                st.sampled_from([1, 1, 1, 1, 2, 5]),
            ),
            min_size=1,
            max_size=25,
        )
    )  # fmt: skip
    rows, ts, sequence = [], BASE_TS - 200 * SECOND_NS, 1000
    for wait, price, size, side, printed, step in steps:
        ts, sequence = ts + wait, sequence + step
        rows.append(row(sequence, ts, price, size, side, printed=printed))
    return rows


def prices_and_sizes(bar: Bar) -> tuple[int, ...]:
    return content([{bar.ts_open: bar}])[0][bar.ts_open][:9]


def in_one_go(rows: list[TradeRow], *, contiguous: bool = True) -> Driver:
    driver = Driver(contiguous=contiguous)
    driver.feed(rows)
    driver.progress(END)
    return driver


@settings(max_examples=25, deadline=None)
@given(markets(), st.randoms(use_true_random=False), st.booleans())
def test_candles_in_any_order_with_repeats_and_splits_are_the_same(
    rows: list[TradeRow], chance: random.Random, contiguous: bool
) -> None:
    """Arrival order, batch borders, repeats and progress in between change no candle."""
    expected = content(in_one_go(rows, contiguous=contiguous).stored)
    shuffled = rows + chance.sample(rows, len(rows) // 2)
    chance.shuffle(shuffled)
    driver = Driver(contiguous=contiguous)
    while shuffled:
        count = chance.randint(1, 5)
        batch, shuffled = shuffled[:count], shuffled[count:]
        driver.feed(batch)
        if chance.random() < 0.4:
            driver.progress(chance.choice(rows)[7] + chance.randint(-1, 2) * SECOND_NS)
        if chance.random() < 0.2:
            driver.candles = load_candles(dump_candles(driver.candles))
    driver.progress(END)
    assert content(driver.stored) == expected


@settings(max_examples=25, deadline=None)
@given(markets())
def test_candles_in_order_equal_a_direct_count(rows: list[TradeRow]) -> None:
    """Each closed candle with trades equals what its trades say directly."""
    stored = in_one_go(rows).stored
    for at, interval in enumerate(INTERVALS):
        buckets: dict[int, list[TradeRow]] = {}
        for trade in rows:
            if trade[10] == 1:
                buckets.setdefault(interval.floor(trade[7]), []).append(trade)
        assert {ts for ts, bar in stored[at].items() if bar.trades} == set(buckets)
        for ts, trades in buckets.items():
            bar = stored[at][ts]
            assert (bar.open, bar.close) == (trades[0][4], trades[-1][4])
            assert (bar.high, bar.low) == (
                max(t[4] for t in trades),
                min(t[4] for t in trades),
            )
            assert bar.volume == sum(t[5] for t in trades)
            assert bar.quote == sum(t[4] * t[5] for t in trades)
            assert bar.buy_volume == sum(t[5] for t in trades if t[3] == 1)
            assert bar.trades == len(trades)


@settings(max_examples=25, deadline=None)
@given(markets())
def test_candles_of_one_minute_roll_up_to_all_longer_ones(rows: list[TradeRow]) -> None:
    """A longer candle is exactly the roll-up of its minutes, quiet ones included."""
    stored = in_one_go(rows).stored
    minutes = [stored[1][ts] for ts in sorted(stored[1])]
    for at, interval in enumerate(INTERVALS[2:], 2):
        rolled = {bar.ts_open: bar for bar in roll_up(minutes, interval)}
        for ts, bar in stored[at].items():
            if bar.trades:
                assert prices_and_sizes(bar) == prices_and_sizes(rolled[ts])


def test_quiet_minutes_after_the_first_trade_repeat_the_close() -> None:
    """Charts have no hole: a quiet minute is flat at the last price, a quiet second is not sent."""
    driver = Driver()
    driver.feed([row(1, BASE_TS, 100)])
    driver.progress(BASE_TS + 3 * MINUTE_NS)
    minutes = driver.stored[1]
    assert sorted(minutes) == [BASE_TS, BASE_TS + MINUTE_NS, BASE_TS + 2 * MINUTE_NS]
    quiet = minutes[BASE_TS + MINUTE_NS]
    assert (quiet.open, quiet.close, quiet.volume, quiet.trades) == (100, 100, 0, 0)
    assert sorted(driver.stored[0]) == [BASE_TS]


def test_late_trade_moves_the_quiet_minutes_behind_it() -> None:
    """A close that comes late is the price that the following quiet minutes repeat."""
    driver = Driver()
    driver.feed([row(1, BASE_TS, 100)])
    driver.progress(BASE_TS + 3 * MINUTE_NS - 1)
    driver.feed([row(2, BASE_TS + 30 * SECOND_NS, 107)])
    minutes = driver.stored[1]
    assert [minutes[ts].close for ts in sorted(minutes)] == [107, 107, 107]
    assert [minutes[ts].revision for ts in sorted(minutes)] == [1, 1, 1]
    assert driver.candles.forming(2) is not None


def test_missing_ids_lower_completeness_until_they_come() -> None:
    """A hole in the ids counts by its share of time, and is gone when it is filled."""
    driver = Driver()
    driver.feed([row(1, BASE_TS, 100), row(12, BASE_TS + 2 * MINUTE_NS, 100)])
    driver.progress(BASE_TS + 3 * MINUTE_NS)
    minutes = driver.stored[1]
    assert [minutes[ts].missing for ts in sorted(minutes)] == [5, 5, 0]
    driver.feed([row(n, BASE_TS + n * SECOND_NS, 100) for n in range(2, 12)])
    assert [minutes[ts].missing for ts in sorted(minutes)] == [0, 0, 0]
    assert minutes[BASE_TS].trades == 11


def test_lost_time_counts_in_closed_and_open_candles() -> None:
    """A gap record marks the candles it covers, whether it comes before or after they close."""
    driver = Driver(contiguous=False)
    driver.feed([row(1, BASE_TS), row(2, BASE_TS + 90 * SECOND_NS)])
    driver.progress(BASE_TS + MINUTE_NS)
    driver.lose("g1", BASE_TS + 50 * SECOND_NS, BASE_TS + 80 * SECOND_NS)
    driver.progress(BASE_TS + 2 * MINUTE_NS)
    minutes = driver.stored[1]
    assert minutes[BASE_TS].lost_ns == 10 * SECOND_NS
    assert minutes[BASE_TS + MINUTE_NS].lost_ns == 20 * SECOND_NS


def test_trade_later_than_the_bound_is_refused() -> None:
    """Beyond the bound a trade changes no candle, and is counted."""
    driver = Driver(late_bound_ns=MINUTE_NS)
    driver.feed([row(10, BASE_TS + 5 * MINUTE_NS)])
    driver.progress(BASE_TS + 5 * MINUTE_NS)
    before = content(driver.stored)
    driver.feed([row(9, BASE_TS)])
    assert driver.refused == 1
    assert [level.keys() for level in content(driver.stored)] == [level.keys() for level in before]


def test_forming_candle_shows_every_trade_so_far() -> None:
    """The forming hour has the trades of its closed and open seconds alike."""
    driver = Driver()
    driver.feed([row(n, BASE_TS + n * SECOND_NS, 100 + n) for n in range(1, 200)])
    driver.progress(BASE_TS + 100 * SECOND_NS)
    hour = driver.candles.forming(4)
    assert hour is not None
    assert (hour.trades, hour.open, hour.close, hour.ts_open) == (199, 101, 299, BASE_TS)


def test_weeks_begin_on_monday() -> None:
    """2024-08-09 was a Friday: its week began on the 5th."""
    assert BY_NAME["1w"].floor(BASE_TS) == 1_722_816_000_000_000_000


def test_state_of_a_busy_week_with_large_quotes_survives() -> None:
    """Quote volumes beyond 64 bits are kept exactly."""
    driver = Driver()
    driver.feed([row(1, BASE_TS, 10**13, 10**15)])
    again = load_candles(dump_candles(driver.candles))
    assert again == driver.candles
    bar = again.levels[0].bars[BASE_TS]
    assert isinstance(bar, Bar)
    assert bar.quote == 10**28
