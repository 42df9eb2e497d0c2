"""Gaps of one instrument: made, taken up from a topic, copied for the way out."""

from __future__ import annotations

from teleglas_ingest.domain.events import Channel, Gap, GapCause, GapResolution
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.pipeline.tail import LeftGap

__all__ = ["copy_of", "new_gap", "taken_up"]


def new_gap(
    market: Market, channel: Channel, cause: GapCause, what: str, ts_from: int, detail: str
) -> Gap:
    return Gap(
        id=f"{market.key}:{channel.name.lower()}:{what}",
        market=market,
        channel=channel,
        cause=cause,
        resolution=GapResolution.OPEN,
        ts_from=ts_from,
        detail=detail,
    )


def taken_up(market: Market, left: LeftGap) -> Gap:
    """The gap that another writer left open."""
    return Gap(
        id=left.id,
        market=market,
        channel=left.channel,
        cause=left.cause,
        resolution=GapResolution.OPEN,
        ts_from=left.ts_from,
        ts_to=left.ts_to,
        first_missing=left.first_missing,
        last_missing=left.last_missing,
    )


def copy_of(gap: Gap) -> Gap:
    """Gaps are revised while an older version of them may still wait to be published."""
    return Gap(**{name: getattr(gap, name) for name in Gap.__struct_fields__})
