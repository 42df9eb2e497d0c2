"""Progress marks of one connection, in band: per topic and partition that it writes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from teleglas_ingest.domain.events import Channel
from teleglas_ingest.domain.progress import Promise, SourceClock
from teleglas_ingest.pipeline.feed import MarketFeed
from teleglas_ingest.pipeline.outbox import Outbox, ProgressOut

__all__ = ["Marks"]


class Marks:
    """Publishes a mark for each partition when its promise has grown. What the feeds still hold in
    hand is published first: a mark must never overtake a trade that it covers.
    """

    def __init__(
        self,
        venue: str,
        source: str,
        clock: SourceClock,
        feeds: Sequence[tuple[Channel, MarketFeed]],
        outbox: Outbox,
        partition: Callable[[Channel, str], int],
    ) -> None:
        self._venue = venue
        self._source = source
        self._clock = clock
        self._outbox = outbox
        groups: dict[tuple[Channel, int], list[MarketFeed]] = {}
        for channel, feed in feeds:
            groups.setdefault((channel, partition(channel, feed.market.symbol)), []).append(feed)
        self._groups = [
            (channel, tuple(members), Promise()) for (channel, _), members in groups.items()
        ]

    def emit(self) -> None:
        for channel, members, promise in self._groups:
            mark = min(self._clock.mark(feed.newest(channel)) for feed in members)
            holds = [feed.held(channel) for feed in members]
            held_at = min((hold for hold in holds if hold is not None), default=None)
            given = promise.advance(mark, held_at)
            if given is not None:
                self._put(channel, members, given, retired=False)

    def begin(self) -> None:
        """Forget what was promised to nobody, while another process wrote."""
        self._groups = [(channel, members, Promise()) for channel, members, _ in self._groups]

    def retire(self) -> None:
        """The source's last word, where it has given any."""
        for channel, members, promise in self._groups:
            if promise.given:
                self._put(channel, members, promise.given, retired=True)

    def _put(
        self, channel: Channel, members: tuple[MarketFeed, ...], ts_event: int, *, retired: bool
    ) -> None:
        for feed in members:
            feed.flush()
        self._outbox.put(
            ProgressOut(
                self._venue,
                channel,
                members[0].market.symbol,
                tuple(feed.market.symbol for feed in members),
                self._source,
                ts_event,
                retired,
            )
        )
