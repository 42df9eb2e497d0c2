"""Which subscriptions go on which connection, within a venue's limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from zlib import crc32

from msgspec import Struct

from teleglas_ingest.domain.events import Channel
from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.ports import Stream, Venue

__all__ = ["LinkPlan", "plan_links", "shard_of"]


class LinkPlan(Struct, frozen=True):
    """One connection to be. `source` is stable: the same configuration gives the same names."""

    source: str
    path: str
    streams: tuple[Stream, ...]
    markets: tuple[tuple[Channel, Market], ...]


def shard_of(base: str, shards: int) -> int:
    """The shard that owns an asset: all its instruments of a venue together."""
    return crc32(base.encode()) % shards


def plan_links(
    venue: Venue,
    shard: int,
    markets: Iterable[Market],
    channels: Sequence[Channel],
    *,
    streams_per_connection: int | None = None,
) -> list[LinkPlan]:
    """Pack all streams of an instrument on one path together, so that the event time of its busy
    streams carries its quiet ones; open another connection when one is full.
    """
    most = min(streams_per_connection or 10**9, venue.limits.streams_per_connection)
    paths: dict[str, list[dict[str, list[tuple[Stream, Market]]]]] = {}
    for market in markets:
        by_path: dict[str, list[tuple[Stream, Market]]] = {}
        for stream in venue.streams(market, channels):
            by_path.setdefault(stream.path, []).append((stream, market))
        for path, wanted in by_path.items():
            links = paths.setdefault(path, [{}])
            new = sum(stream.name not in links[-1] for stream, _ in wanted)
            if len(links[-1]) + new > most and links[-1]:
                links.append({})
            for stream, owner in wanted:
                links[-1].setdefault(stream.name, []).append((stream, owner))
    plans: list[LinkPlan] = []
    for path, links in paths.items():
        label = path.strip("/").replace("/", "-") or "stream"
        for index, link in enumerate(links):
            plans.append(
                LinkPlan(
                    f"{venue.name}/{shard}/{label}-{index}",
                    path,
                    tuple(entries[0][0] for entries in link.values()),
                    tuple(
                        dict.fromkeys(
                            (stream.channel, market)
                            for entries in link.values()
                            for stream, market in entries
                        )
                    ),
                )
            )
    return plans
