"""Which topics ingest writes; it reads none, but for the tails of its own."""

from __future__ import annotations

from collections.abc import Mapping

from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_ingest.domain.events import Channel

__all__ = ["BY_CHANNEL", "READS", "WRITES"]

BY_CHANNEL: Mapping[Channel, Topic] = {
    Channel.TRADES: topics.MARKET_TRADES_V1,
    Channel.BOOKS: topics.MARKET_BOOKS_V1,
    Channel.TICKERS: topics.MARKET_TICKERS_V1,
    Channel.LIQUIDATIONS: topics.MARKET_LIQUIDATIONS_V1,
}
READS: tuple[Topic, ...] = ()
WRITES = (*BY_CHANNEL.values(), topics.MARKET_GAPS_V1, topics.MARKET_INSTRUMENTS_V1)
