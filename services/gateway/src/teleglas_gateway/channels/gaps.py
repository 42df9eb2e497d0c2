"""`gaps`: every break of a feed, and again when it is repaired."""

from __future__ import annotations

from google.protobuf.message import Message

from teleglas.market.v1 import gap_pb2, types_pb2
from teleglas_contracts.topics import MARKET_GAPS_V1
from teleglas_gateway.channels.base import Body, Channel, Policy
from teleglas_gateway.channels.shared import EachMessage, checked_subject, enum_name
from teleglas_gateway.domain.numbers import Numbers, iso_ms
from teleglas_gateway.domain.positions import SubjectKey

__all__ = ["CHANNEL"]

NAME = "gaps"


def _subject(message: Message) -> SubjectKey | None:
    if not isinstance(message, gap_pb2.Gap):
        return None
    return checked_subject(NAME, message.venue, message.instrument)


def _body(gap: gap_pb2.Gap, _numbers: Numbers) -> Body:
    return Body(
        gap.ts_to or gap.ts_from or gap.ts_ingest,
        {
            "id": gap.id,
            "feed": enum_name(types_pb2.Channel.DESCRIPTOR, gap.channel, "CHANNEL_"),
            "cause": enum_name(gap_pb2.GapCause.DESCRIPTOR, gap.cause, "GAP_CAUSE_"),
            "resolution": enum_name(
                gap_pb2.GapResolution.DESCRIPTOR, gap.resolution, "GAP_RESOLUTION_"
            ),
            "from_time": iso_ms(gap.ts_from) if gap.ts_from else None,
            "to_time": iso_ms(gap.ts_to) if gap.ts_to else None,
            "first_missing": gap.first_missing or None,
            "last_missing": gap.last_missing or None,
            "recovered": gap.recovered,
            "exchange": gap.venue,
        },
    )


CHANNEL = Channel(
    name=NAME,
    type="gap",
    topic=MARKET_GAPS_V1,
    policy=Policy.LOSSLESS,
    lookback=4096,
    fold=lambda: EachMessage(_subject),
    body=_body,
    aliases=("gap",),
    snapshot_messages=20,
)
