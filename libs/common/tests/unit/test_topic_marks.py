"""How far topics have come, for who joins them."""

from __future__ import annotations

from collections.abc import Sequence

from teleglas.market.v1.progress_pb2 import Progress
from teleglas_common.clock import ManualClock
from teleglas_common.silences import IDLE_S
from teleglas_common.topic_marks import GONE_NS, TopicMarks

BTC, ETH = ("binance", "BTC-USDT"), ("binance", "ETH-USDT")
OTHERWISE = 7


def mark(ts_event: int, markets: Sequence[tuple[str, str]] = (BTC,)) -> Progress:
    return Progress(
        venue="binance",
        source=f"binance/{markets[0][1]}",
        writer_epoch=1,
        ts_event=ts_event,
        instruments=[instrument for _, instrument in markets],
        lease_ns=10 * GONE_NS,
    )


def test_topic_has_come_as_far_as_its_marks() -> None:
    marks = TopicMarks(ManualClock())
    assert marks.watermark("books", BTC) == marks.reached("books", BTC, OTHERWISE) == -1
    assert marks.observe("books", mark(100)) == [BTC]
    assert marks.watermark("books", BTC) == marks.reached("books", BTC, OTHERWISE) == 100
    assert marks.watermark("trades", BTC) == -1


def test_instrument_that_lies_far_behind_its_topic_is_not_waited_for() -> None:
    """Its watermark stays where it is; a join goes on without it."""
    marks = TopicMarks(ManualClock())
    marks.observe("books", mark(100))
    marks.observe("books", mark(100 + 2 * GONE_NS, [ETH]))
    assert marks.watermark("books", BTC) == 100
    assert marks.reached("books", BTC, OTHERWISE) == 100 + GONE_NS


def test_held_topic_has_come_nowhere() -> None:
    """Also where it was silent for long: what it holds is read again."""
    marks = TopicMarks(ManualClock())
    marks.observe("books", mark(100))
    marks.held.add("books")
    assert marks.reached("books", BTC, OTHERWISE) == -1
    marks.held.discard("books")
    assert marks.reached("books", BTC, OTHERWISE) == 100


async def test_silent_topic_is_not_waited_for() -> None:
    clock = ManualClock()
    marks = TopicMarks(clock)
    marks.observe("books", mark(100))
    marks.silences.heard("books")
    for _ in range(int(IDLE_S) + 1):
        assert marks.reached("books", BTC, OTHERWISE) == 100
        marks.silences.heard("trades")
        await clock.advance(1.0)
    assert marks.reached("books", BTC, OTHERWISE) == OTHERWISE


def test_what_comes_behind_its_mark_counts_from_the_mark_on() -> None:
    marks = TopicMarks(ManualClock())
    assert marks.not_before("books", BTC, 50) == 50
    marks.observe("books", mark(100))
    assert marks.not_before("books", BTC, 50) == 101
    assert marks.not_before("books", BTC, 200) == 200
