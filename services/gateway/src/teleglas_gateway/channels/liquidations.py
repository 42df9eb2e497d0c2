"""`liquidations`: forced orders as the venue shows them, with how much of the truth that is."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from teleglas.market.v1 import liquidation_pb2
from teleglas_contracts.topics import MARKET_LIQUIDATIONS_V1
from teleglas_gateway.channels.base import Body, Channel, Part, Policy
from teleglas_gateway.channels.shared import checked_subject, event_time, side_name, ts_basis
from teleglas_gateway.domain.fences import SeenIds, WriterFence
from teleglas_gateway.domain.numbers import Numbers
from teleglas_gateway.domain.positions import SubjectKey

__all__ = ["CHANNEL"]

NAME = "liquidations"
_COVERAGE = {
    liquidation_pb2.COVERAGE_COMPLETE: "complete",
    liquidation_pb2.COVERAGE_SAMPLED: "sampled",
}


class LiquidationFold:
    def __init__(self) -> None:
        self._fence = WriterFence()
        self._ids: dict[SubjectKey, SeenIds] = {}

    def read(self, message: Message) -> Sequence[Part]:
        if not isinstance(message, liquidation_pb2.Liquidation):
            return ()
        if not self._fence.admits(message.source, message.writer_epoch):
            return ()
        subject = checked_subject(
            *(NAME, message.venue, message.instrument, message.price_exponent),
            *(message.size_exponent, message.contracts_exponent),
        )
        if not self._ids.setdefault(subject, SeenIds(1024)).add(message.id):
            return ()
        return (Part(subject, 0, message),)

    def current(self, subject: SubjectKey) -> None:  # noqa: ARG002  # events have no newest state
        return None


def _body(order: liquidation_pb2.Liquidation, numbers: Numbers) -> Body:
    average = order.average_price if order.HasField("average_price") else None
    filled = order.filled_size if order.HasField("filled_size") else None
    contracts = order.contracts or None
    return Body(
        event_time(order),
        {
            "id": order.id,
            "side": side_name(order.side),
            "price": numbers.exact(order.price, order.price_exponent),
            "average_price": numbers.optional(average, order.price_exponent),
            "amount": numbers.exact(order.size, order.size_exponent),
            "filled_amount": numbers.optional(filled, order.size_exponent),
            "contracts": numbers.optional(contracts, order.contracts_exponent),
            "coverage": _COVERAGE.get(order.coverage, "unknown"),
            "exchange": order.venue,
            "ts_event": str(order.ts_event) if order.ts_event else None,
            "ts_basis": ts_basis(order),
        },
    )


CHANNEL = Channel(
    name=NAME,
    type="liquidation",
    topic=MARKET_LIQUIDATIONS_V1,
    policy=Policy.LOSSLESS,
    lookback=4096,
    fold=LiquidationFold,
    body=_body,
    received_ns=lambda payload: int(payload.ts_ingest),
    aliases=("liquidation",),
    snapshot_messages=20,
)
