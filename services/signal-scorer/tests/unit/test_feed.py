"""What a tick knows is a function of each topic's own order."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from signal_feeds import BEGIN, BTC, SECOND, Market, candle, mark

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_signal_scorer.adapters.messages import bar_of, whale_of
from teleglas_signal_scorer.domain.alert_marks import AlertMarks
from teleglas_signal_scorer.domain.feed import CANDLES, Cadence, Feed
from teleglas_signal_scorer.domain.intervals import LIVE
from teleglas_signal_scorer.domain.layers.order_flow import WHALES
from teleglas_signal_scorer.domain.scoring import Score, score_of
from teleglas_signal_scorer.domain.state import dump_bars, dump_live, load_bars, load_live
from teleglas_signal_scorer.domain.weights import FIRST

CADENCE = Cadence(10 * SECOND, 10 * SECOND)
MINUTES = 4


@cache
def topic_messages() -> tuple[list[Any], list[Any]]:
    market = Market(5, late_share=0.1, quiet_share=0.4)
    return market.candles(MINUTES), market.alerts(MINUTES)


def fresh() -> Feed:
    return Feed(BTC, LIVE, CADENCE)


def restored(feed: Feed) -> Feed:
    """The feed of a new process."""
    made = fresh()
    load_bars(made, dump_bars(feed))
    load_live(made, dump_live(feed))
    return made


def take(feed: Feed, message: Any) -> list[Score]:
    """Read one message; the scores that are due."""
    if isinstance(message, Candle):
        interval = LIVE.find(message.interval)
        assert interval is not None
        feed.take_candle(interval.name, bar_of(message, interval))
    elif isinstance(message, WhaleAlert):
        feed.take_whale(whale_of(message))
    else:
        feed.alerts_passed(message.ts_event)
    scores = []
    while (tick := feed.due((WHALES,))) is not None:
        view = feed.view(tick)
        assert view is not None
        scores.append(score_of(BTC, view, FIRST, feed.stance))
        feed.stance = scores[-1].stance
    return scores


@cache
def plain() -> list[Score]:
    feed, (candles, alerts) = fresh(), topic_messages()
    return [score for message in [*candles, *alerts] for score in take(feed, message)]


@settings(max_examples=25, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 120)), max_size=30),
    restart_every=st.integers(20, 400),
)
def test_any_interleaving_and_any_restart_gives_the_same_scores(
    runs: list[tuple[int, int]], restart_every: int
) -> None:
    """Down to the last bit of every contribution."""
    queues = [list(reversed(messages)) for messages in topic_messages()]
    feed, scores, read = fresh(), [], 0
    for which, count in [*runs, (0, 10**6), (1, 10**6)]:
        for _ in range(min(count, len(queues[which]))):
            scores += take(feed, queues[which].pop())
            read += 1
            if read % restart_every == 0:
                feed = restored(feed)
    assert scores == plain()


def test_a_tick_waits_for_the_longest_interval_that_closes_at_it() -> None:
    """At five minutes the minute alone is not enough."""
    feed = fresh()
    feed.alerts_passed(BEGIN + 3_600 * SECOND)
    flat = (10, 10, 10, 10)
    for minute in range(5):
        at = BEGIN + minute * 60 * SECOND
        scores = take(feed, candle("1m", at, flat, 1, 1))
    assert scores[-1].tick == BEGIN + 290 * SECOND
    (score,) = take(feed, candle("5m", BEGIN, flat, 5, 5))
    assert score.tick == BEGIN + 300 * SECOND


def test_a_feed_names_the_inputs_that_it_joins() -> None:
    """As receipts have them."""
    feed = fresh()
    take(feed, candle("1m", BEGIN, (10, 10, 10, 10), 1, 1))
    take(feed, candle("1m", BEGIN + 60 * SECOND, (10, 10, 10, 10), 1, 1))
    tick = feed.due()
    assert tick is not None
    assert tick.missing == (WHALES,)
    assert CANDLES not in tick.missing


def test_marks_of_several_venues_pass_together_and_one_that_is_gone_holds_nobody() -> None:
    """The lowest of the venues that keep up, also in a new process."""
    marks = AlertMarks()
    assert marks.passed(BTC) is None
    marks.observe(mark(BEGIN, venue="binance"))
    marks.observe(mark(BEGIN + 5 * SECOND, venue="okx"))
    assert marks.passed(BTC) == BEGIN
    marks = AlertMarks.load(marks.dump())
    assert marks.observe(mark(BEGIN + 20 * SECOND, venue="okx")) == [BTC]
    assert marks.passed(BTC) == BEGIN
    marks.observe(mark(BEGIN + 60 * SECOND, venue="okx"))
    assert marks.passed(BTC) == BEGIN + 60 * SECOND
    assert marks.passed("ETH-USDT") is None
