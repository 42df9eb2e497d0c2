"""Which messages market-data reads, and what handles them."""

from __future__ import annotations

from typing import Any

from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.gap_pb2 import Gap
from teleglas.market.v1.instrument_pb2 import Instrument
from teleglas.market.v1.liquidation_pb2 import Liquidation
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_common.bus.ports import Route
from teleglas_contracts import topics
from teleglas_market_data.handlers import (
    on_book,
    on_books_progress,
    on_gap,
    on_instrument,
    on_liquidation,
    on_ticker,
    on_tickers_progress,
    on_trades,
    on_trades_progress,
)
from teleglas_market_data.shard import MarketShard

__all__ = ["GROUP", "READS", "ROUTES", "WRITES"]

GROUP = "market-data"

ROUTES: tuple[Route[MarketShard, Any], ...] = (
    Route(topics.MARKET_TRADES_V1, TradeBatch, on_trades),
    Route(topics.MARKET_TRADES_V1, Progress, on_trades_progress),
    Route(topics.MARKET_BOOKS_V1, BookUpdate, on_book),
    Route(topics.MARKET_BOOKS_V1, Progress, on_books_progress),
    Route(topics.MARKET_TICKERS_V1, Ticker, on_ticker),
    Route(topics.MARKET_TICKERS_V1, Progress, on_tickers_progress),
    Route(topics.MARKET_LIQUIDATIONS_V1, Liquidation, on_liquidation),
    Route(topics.MARKET_GAPS_V1, Gap, on_gap),
    Route(topics.MARKET_INSTRUMENTS_V1, Instrument, on_instrument),
)

READS = tuple(dict.fromkeys(route.topic for route in ROUTES))
WRITES = (topics.MARKET_CANDLES_V1, topics.MARKET_SUMMARIES_V1)
