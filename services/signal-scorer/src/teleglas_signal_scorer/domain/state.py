"""A feed's state as bytes. What changes each minute is kept apart from what changes each second."""

from __future__ import annotations

import msgspec

from teleglas_signal_scorer.domain.bars import Bar, Series
from teleglas_signal_scorer.domain.feed import KEEP_BARS, Feed
from teleglas_signal_scorer.domain.stance import NEUTRAL
from teleglas_signal_scorer.domain.whales import Whale

__all__ = ["dump_bars", "dump_live", "load_bars", "load_live"]


class _Live(msgspec.Struct):
    stance: str = NEUTRAL
    seconds: list[Bar] = []
    whales: list[Whale] = []
    closes: dict[str, int] = {}
    revisions: dict[str, dict[int, int]] = {}
    alert_revisions: dict[str, int] = {}
    waiting: list[tuple[int, str, Bar]] = []
    waiting_whales: list[tuple[int, Whale]] = []
    alerts_at: int | None = None
    join: bytes = b""


_live_decoder = msgspec.msgpack.Decoder(_Live, strict=False)
_bars_decoder = msgspec.msgpack.Decoder(dict[str, list[Bar]])


def dump_live(feed: Feed) -> bytes:
    """Everything of a feed but its bars."""
    return msgspec.msgpack.encode(
        _Live(
            feed.stance, feed.seconds, feed.whales, feed.closes, feed.revisions,
            feed.alert_revisions, feed.waiting, feed.waiting_whales, feed.alerts_at,
            feed.join.snapshot(),
        )
    )  # fmt: skip


def load_live(feed: Feed, state: bytes) -> None:
    """Take what `dump_live` gave."""
    live = _live_decoder.decode(state)
    feed.stance = live.stance
    feed.seconds, feed.whales = live.seconds, live.whales
    feed.closes, feed.revisions = live.closes, live.revisions
    feed.alert_revisions, feed.alerts_at = live.alert_revisions, live.alerts_at
    feed.waiting, feed.waiting_whales = live.waiting, live.waiting_whales
    feed.join.resume(live.join)


def dump_bars(feed: Feed) -> bytes:
    """The bars of every interval."""
    return msgspec.msgpack.encode({name: series.bars for name, series in feed.series.items()})


def load_bars(feed: Feed, state: bytes) -> None:
    """Take what `dump_bars` gave."""
    for name, bars in _bars_decoder.decode(state).items():
        if name in feed.series:
            feed.series[name] = Series(KEEP_BARS, bars)
    feed.memo.clear()
