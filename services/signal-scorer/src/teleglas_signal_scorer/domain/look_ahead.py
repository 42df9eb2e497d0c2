"""Whether scores know the future: change what comes after a moment, and nothing before may move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import msgspec

from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.scoring import Score

__all__ = ["leaking", "look_ahead", "planted"]

Engine = Callable[[Sequence[Bar]], Iterable[Score]]

SHOCK = 1.25
"""What later prices are multiplied with."""


def look_ahead(
    bars: Sequence[Bar], engine: Engine, *, cuts: int = 5, window: int = 800, ahead: int = 30
) -> int:
    """At how many of `cuts` moments, spread over the bars, a score changed because bars that closed
    after it did. 0: the engine does not look ahead.
    """
    count = len(bars)
    if count < 3:
        raise ValueError(f"expected at least 3 bars, were {count}")
    moments = sorted(
        {max(2, min(count - 1, count * at // (cuts + 1))) for at in range(1, cuts + 1)}
    )
    caught = 0
    for cut in moments:
        begin = max(0, cut - window)
        past, future = bars[begin:cut], bars[cut : cut + ahead]
        known = _until(engine([*past, *future]), past[-1].ts_close)
        again = _until(engine([*past, *map(_shocked, future)]), past[-1].ts_close)
        caught += known != again
    return caught


def planted(engine: Engine) -> Engine:
    """The same engine with a leak: each bar closes at the price that the next one closes at."""

    def leaky(bars: Sequence[Bar]) -> Iterable[Score]:
        return engine(leaking(bars))

    return leaky


def leaking(bars: Sequence[Bar]) -> list[Bar]:
    """Bars that say the next one's close as their own."""
    shifted = [
        msgspec.structs.replace(
            bar,
            close=later.close,
            high=max(bar.high, later.close),
            low=min(bar.low, later.close),
        )
        for bar, later in pairwise(bars)
    ]
    return [*shifted, bars[-1]]


def _until(scores: Iterable[Score], ts: int) -> list[Score]:
    return [score for score in scores if score.tick <= ts]


def _shocked(bar: Bar) -> Bar:
    return msgspec.structs.replace(
        bar,
        open=bar.open * SHOCK,
        high=bar.high * SHOCK,
        low=bar.low * SHOCK,
        close=bar.close * SHOCK,
        volume=bar.volume * 3.0,
    )
