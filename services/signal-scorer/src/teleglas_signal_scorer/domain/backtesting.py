"""The live engine over bars of one interval: the same feed, layers and weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.feed import Cadence, Feed
from teleglas_signal_scorer.domain.intervals import Ladder
from teleglas_signal_scorer.domain.rollup import RollUp
from teleglas_signal_scorer.domain.scoring import Score, score_of
from teleglas_signal_scorer.domain.weights import WeightsBook

__all__ = ["scored"]


def scored(
    instrument: str, bars: Iterable[Bar], ladder: Ladder, weights: WeightsBook
) -> Iterator[Score]:
    """One score at each bar's close, from the second bar on, on what was closed by then. Bars come
    oldest first; longer ones are rolled up from them.
    """
    feed = Feed(instrument, ladder, Cadence(ladder.base.length_ns, 0))
    longer = RollUp(ladder.intervals[1:])
    for bar in bars:
        feed.take_candle(ladder.base.name, bar)
        for interval, rolled in longer.take(bar):
            feed.take_candle(interval, rolled)
        while (tick := feed.due()) is not None:
            view = feed.view(tick)
            if view is not None:
                score = score_of(instrument, view, weights.at(tick.ts_event), feed.stance)
                feed.stance = score.stance
                yield score
