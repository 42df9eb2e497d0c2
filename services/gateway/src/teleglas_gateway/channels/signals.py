"""`signals`: scores of the composite, each with what it is made of."""

from __future__ import annotations

from google.protobuf.message import Message

from teleglas.signal.v1 import signal_pb2
from teleglas_contracts.topics import SIGNAL_SCORES_V1
from teleglas_gateway.channels.base import Body, Channel, Policy
from teleglas_gateway.channels.shared import EachRevision, Revision, checked_subject
from teleglas_gateway.domain.numbers import Numbers

__all__ = ["CHANNEL", "score_data"]

NAME = "signals"
LOOKBACK = 8192


def _revision(message: Message) -> Revision | None:
    if not isinstance(message, signal_pb2.SignalScore):
        return None
    return Revision(checked_subject(NAME, message.venue, message.instrument), message.id)


def score_data(score: signal_pb2.SignalScore, numbers: Numbers) -> Body:
    """The points of all contributions add up to the score within 1e-9."""
    receipt = score.receipt
    return Body(
        score.ts_event,
        {
            "id": score.id,
            "score": numbers.inexact(score.score),
            "confidence": numbers.inexact(score.confidence),
            "stance": score.stance,
            "completeness": numbers.inexact(score.completeness),
            "contributions": [
                {
                    "layer": part.layer,
                    "points": numbers.inexact(part.points),
                    "reading": numbers.inexact(part.reading),
                    "weight": numbers.inexact(part.weight),
                    "confidence": numbers.inexact(part.confidence),
                    "reason": part.reason or None,
                }
                for part in receipt.contributions
            ],
            "weights_version": receipt.weights_version,
            "missing": list(receipt.missing),
            "confidence_cost": numbers.inexact(receipt.confidence_cost),
            "exchange": score.venue,
            "ts_event": str(score.ts_event) if score.ts_event else None,
        },
    )


CHANNEL = Channel(
    name=NAME,
    type="signal",
    topic=SIGNAL_SCORES_V1,
    policy=Policy.LOSSLESS,
    lookback=LOOKBACK,
    fold=lambda: EachRevision(_revision, window=LOOKBACK // 2),
    body=score_data,
    aliases=("signal", "scores", "signal_score"),
    has_composite=True,
    composite_only=True,
    snapshot_messages=1,
)
