"""The candle fold that a user of a stream library would write, and write well: one open bar for
each interval, the finest updated per trade and rolled into the next when its time is over. Shared
by both peers; needs nothing but the generated protobuf code.
"""

from __future__ import annotations

from typing import Any

LENGTHS_S = (1, 60, 300, 900, 3600, 14_400, 86_400, 604_800)
NS = 1_000_000_000


def fold(state: dict[str, Any], batch: Any) -> list[list[int]]:
    """Count a batch into `state`, which stays JSON; return the candles that are over.

    A bar is [interval, begin, open, high, low, close, volume, quote, taker buy volume, trades].
    Trades are taken as they come: no late ones, no repeats, no missing ones are looked for.
    """
    bars: list[list[int] | None] = state.setdefault("bars", [None] * len(LENGTHS_S))
    closed: list[list[int]] = []
    for trade in batch.trades:
        begin = trade.ts_event // NS
        bar = bars[0]
        if bar is None or bar[1] != begin:
            if bar is not None:
                _close(bars, 0, begin, closed)
            bar = bars[0] = [1, begin, trade.price, trade.price, trade.price, 0, 0, 0, 0, 0]
        price, size = trade.price, trade.size
        if price > bar[3]:
            bar[3] = price
        if price < bar[4]:
            bar[4] = price
        bar[5] = price
        bar[6] += size
        bar[7] += price * size
        if trade.side == 1:
            bar[8] += size
        bar[9] += 1
    return closed


def _close(bars: list[Any], level: int, now_s: int, closed: list[list[int]]) -> None:
    bar = bars[level]
    closed.append(bar)
    bars[level] = None
    if level + 1 == len(LENGTHS_S):
        return
    length = LENGTHS_S[level + 1]
    begin = bar[1] - bar[1] % length
    above = bars[level + 1]
    if above is None:
        bars[level + 1] = [length, begin, *bar[2:]]
    else:
        above[3] = max(above[3], bar[3])
        above[4] = min(above[4], bar[4])
        above[5] = bar[5]
        for at in (6, 7, 8, 9):
            above[at] += bar[at]
    if now_s - now_s % length != begin:
        _close(bars, level + 1, now_s, closed)
