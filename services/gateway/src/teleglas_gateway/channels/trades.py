"""`trades`: every print of a venue, in the venue's order, each once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import Message

from teleglas.market.v1 import trade_pb2
from teleglas_common.bus.ports import PoisonError
from teleglas_contracts.topics import MARKET_TRADES_V1
from teleglas_gateway.channels.base import Body, Channel, Part, Policy
from teleglas_gateway.channels.shared import checked_subject, event_time, side_name, ts_basis
from teleglas_gateway.domain.fences import SeenIds, SeenSequences, WriterFence
from teleglas_gateway.domain.numbers import Numbers
from teleglas_gateway.domain.positions import INDEX_LIMIT, SubjectKey

__all__ = ["CHANNEL", "Print", "trade_data"]

NAME = "trades"
_KINDS = {trade_pb2.TRADE_KIND_FILL: "fill", trade_pb2.TRADE_KIND_AGGREGATE: "aggregate"}
_PRINTS = {
    trade_pb2.PRINT_KIND_MARKET: "market",
    trade_pb2.PRINT_KIND_INSURANCE_FUND: "insurance_fund",
    trade_pb2.PRINT_KIND_AUTO_DELEVERAGING: "auto_deleveraging",
    trade_pb2.PRINT_KIND_BLOCK: "block",
}


class Print(NamedTuple):
    """A trade with the batch that scales it."""

    batch: trade_pb2.TradeBatch
    trade: trade_pb2.Trade


class TradeFold:
    """Leaves out what a replaced writer wrote and what two writers of a hand-over both wrote."""

    def __init__(self) -> None:
        self._fence = WriterFence()
        self._sequences: dict[tuple[SubjectKey, int], SeenSequences] = {}
        self._ids: dict[tuple[SubjectKey, int], SeenIds] = {}

    def read(self, message: Message) -> Sequence[Part]:
        if not isinstance(message, trade_pb2.TradeBatch):
            return ()
        if not self._fence.admits(message.source, message.writer_epoch):
            return ()
        if len(message.trades) > INDEX_LIMIT:
            raise PoisonError(
                "batch_too_large",
                f"expected at most {INDEX_LIMIT} trades, was {len(message.trades)}",
            )
        subject = checked_subject(
            *(NAME, message.venue, message.instrument, message.price_exponent),
            *(message.size_exponent, message.contracts_exponent),
        )
        return [
            Part(subject, index, Print(message, trade))
            for index, trade in enumerate(message.trades)
            if self._is_new(subject, message.contiguous, trade)
        ]

    def current(self, subject: SubjectKey) -> None:  # noqa: ARG002  # trades have no newest state
        return None

    def _is_new(self, subject: SubjectKey, contiguous: bool, trade: trade_pb2.Trade) -> bool:
        key = (subject, trade.kind)
        if contiguous and trade.HasField("sequence"):
            sequences = self._sequences.get(key)
            if sequences is None:
                sequences = self._sequences[key] = SeenSequences()
            return sequences.add(trade.sequence)
        ids = self._ids.get(key)
        if ids is None:
            ids = self._ids[key] = SeenIds()
        return ids.add(trade.id)


def trade_data(scales: trade_pb2.TradeBatch, trade: trade_pb2.Trade, numbers: Numbers) -> Body:
    contracts = (
        numbers.exact(trade.contracts, scales.contracts_exponent) if trade.contracts else None
    )
    return Body(
        event_time(trade),
        {
            "id": trade.id,
            "price": numbers.exact(trade.price, scales.price_exponent),
            "amount": numbers.exact(trade.size, scales.size_exponent),
            "side": side_name(trade.side),
            "exchange": scales.venue,
            "kind": _KINDS.get(trade.kind, "unknown"),
            "print": _PRINTS.get(trade.print, "other"),
            "contracts": contracts,
            "backfilled": trade.backfilled,
            "ts_event": str(trade.ts_event) if trade.ts_event else None,
            "ts_basis": ts_basis(trade),
        },
    )


def _body(payload: Print, numbers: Numbers) -> Body:
    return trade_data(payload.batch, payload.trade, numbers)


CHANNEL = Channel(
    name=NAME,
    type="trade",
    topic=MARKET_TRADES_V1,
    policy=Policy.LOSSLESS,
    lookback=4096,
    fold=TradeFold,
    body=_body,
    received_ns=lambda payload: int(payload.trade.ts_ingest),
    aliases=("trade",),
    snapshot_messages=50,
    in_legacy=lambda payload: payload.trade.print == trade_pb2.PRINT_KIND_MARKET,
)
