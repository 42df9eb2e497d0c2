"""Which messages the detector reads, and what handles them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.message import Message

from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.liquidation_pb2 import Liquidation
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_whale_detector.handlers import (
    on_book,
    on_books_progress,
    on_liquidation,
    on_liquidations_progress,
    on_trades,
    on_trades_progress,
)
from teleglas_whale_detector.sink import SINK_ROUTES

__all__ = ["GROUP", "INPUTS", "READS", "ROUTES", "WRITES", "Row"]

GROUP = "whale-detector"


class Row(NamedTuple):
    """Messages of `schema` on `topic` go to `handler`; what it cannot take goes to the topic's
    dead letters.
    """

    topic: Topic
    schema: type[Message]
    handler: Callable[[Any, Any], None]


ROUTES = (
    Row(topics.MARKET_TRADES_V1, TradeBatch, on_trades),
    Row(topics.MARKET_TRADES_V1, Progress, on_trades_progress),
    Row(topics.MARKET_BOOKS_V1, BookUpdate, on_book),
    Row(topics.MARKET_BOOKS_V1, Progress, on_books_progress),
    Row(topics.MARKET_LIQUIDATIONS_V1, Liquidation, on_liquidation),
    Row(topics.MARKET_LIQUIDATIONS_V1, Progress, on_liquidations_progress),
)

INPUTS = tuple(dict.fromkeys(row.topic for row in ROUTES))
"""What Faust reads."""
READS = (*INPUTS, *(route.topic for route in SINK_ROUTES))
WRITES = (topics.WHALE_ALERTS_V1,)
