"""`whales`: parent orders over their threshold (`whale_alert`), each revision a message."""

from __future__ import annotations

from google.protobuf.message import Message

from teleglas.whale.v1 import whale_pb2
from teleglas_contracts.topics import WHALE_ALERTS_V1
from teleglas_gateway.channels.base import Body, Channel, Policy
from teleglas_gateway.channels.shared import EachRevision, Revision, checked_subject, side_name
from teleglas_gateway.domain.numbers import Numbers, iso_ms
from teleglas_gateway.domain.weight import impact_of, is_dollar

__all__ = ["CHANNEL", "KINDS", "whale_data"]

NAME = "whales"
LOOKBACK = 16_384
NS_PER_MS = 1_000_000
KINDS = {
    whale_pb2.WHALE_KIND_SWEEP: "sweep",
    whale_pb2.WHALE_KIND_BLOCK: "block",
    whale_pb2.WHALE_KIND_SLICED: "sliced",
    whale_pb2.WHALE_KIND_LIQUIDATION_CASCADE: "liquidation_cascade",
}
LEGACY_FIELDS = frozenset(
    ("id", "transaction_id", "amount", "usd_value", "side", "exchange", "impact")
)


def _revision(message: Message) -> Revision | None:
    if not isinstance(message, whale_pb2.WhaleAlert):
        return None
    usd = message.notional_usd
    subject = checked_subject(
        *(NAME, message.venue, message.instrument, message.price_exponent),
        *(message.size_exponent, message.quote_exponent),
        *(usd.amount.exponent, usd.rate.exponent),
    )
    return Revision(subject, message.id, message.revision)


def whale_data(alert: whale_pb2.WhaleAlert, numbers: Numbers) -> Body:
    """`usd_value` is by the rate that the alert carries, else at par if the quote is a dollar."""

    def quote(mantissa: int) -> object:
        return numbers.exact(mantissa, alert.quote_exponent)

    usd_value, usd_basis = _usd(alert, numbers)
    share = alert.depth_share if alert.HasField("depth_share") else None
    return Body(
        alert.ts_event or alert.ts_last_fill,
        {
            "id": alert.id,
            "transaction_id": alert.first_trade_id,
            "amount": numbers.exact(alert.size, alert.size_exponent),
            "usd_value": usd_value,
            "side": side_name(alert.side),
            "exchange": alert.venue,
            "impact": impact_of(alert.notional, alert.threshold, share),
            "kind": KINDS.get(alert.kind, "unknown"),
            "revision": alert.revision,
            "is_closed": alert.is_closed,
            "notional": quote(alert.notional),
            "usd_basis": usd_basis,
            "vwap": numbers.exact(alert.vwap, alert.price_exponent),
            "first_fill_time": iso_ms(alert.ts_first_fill),
            "last_fill_time": iso_ms(alert.ts_last_fill),
            "fills": alert.fills,
            "levels_consumed": alert.levels_consumed,
            "depth_share": None if share is None else numbers.inexact(share),
            "impacts": [
                {
                    "horizon_ms": impact.horizon_ns // NS_PER_MS,
                    "basis_points": numbers.inexact(impact.basis_points),
                }
                for impact in alert.impacts
            ],
            "threshold": quote(alert.threshold),
            "percentile": numbers.inexact(alert.percentile),
            "lower_bound": alert.lower_bound,
            "definition_version": alert.definition_version,
            "first_trade_id": alert.first_trade_id,
            "last_trade_id": alert.last_trade_id,
            "ts_event": str(alert.ts_event) if alert.ts_event else None,
        },
    )


def _usd(alert: whale_pb2.WhaleAlert, numbers: Numbers) -> tuple[object, str | None]:
    if alert.HasField("notional_usd"):
        amount = alert.notional_usd.amount
        return numbers.exact(amount.mantissa, amount.exponent), "rate"
    if is_dollar(alert.instrument):
        return numbers.exact(alert.notional, alert.quote_exponent), "par"
    return None, None


CHANNEL = Channel(
    name=NAME,
    type="whale_alert",
    topic=WHALE_ALERTS_V1,
    policy=Policy.LOSSLESS,
    lookback=LOOKBACK,
    fold=lambda: EachRevision(_revision, window=LOOKBACK // 2),
    body=whale_data,
    aliases=("whale", "whale_alert", "whale_alerts"),
    snapshot_messages=20,
    legacy_fields=LEGACY_FIELDS,
)
