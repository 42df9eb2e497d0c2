"""The book as OKX followers know it: what was published last, so that a snapshot fits."""

from teleglas_sim.feeds.okx_frames import OkxFrames
from teleglas_sim.market.book import Book, BookDiff

__all__ = ["PublishedBook"]

HEARTBEAT_MS = 60_000


class PublishedBook:
    """A copy that moves with the published diffs only; `version` is the last one's."""

    def __init__(self, frames: OkxFrames, source: Book, now_ms: int, *, checksums: bool) -> None:
        self._frames = frames
        self._checksums = checksums
        self.book = Book()
        self.version = source.published
        self.ts_ms = now_ms
        self._quiet_since_ms = now_ms
        for mine, theirs in ((self.book.bids, source.bids), (self.book.asks, source.asks)):
            for price, size in theirs.sizes.items():
                mine.put(price, size)

    def update(self, diff: BookDiff, ts_ms: int) -> bytes:
        """Apply a diff and give its frame."""
        for side, changes in ((self.book.bids, diff.bids), (self.book.asks, diff.asks)):
            for price, size in changes:
                side.put(price, size)
            side.changed.clear()
        self.version, self.ts_ms, self._quiet_since_ms = diff.last, ts_ms, ts_ms
        return self._frames.update(diff, ts_ms, self._checksum())

    def snapshot(self) -> bytes:
        """The first frame for a newcomer: the next update's `prevSeqId` is its `seqId`."""
        return self._frames.snapshot(self.book, self.ts_ms, self.version, self._checksum())

    def heartbeat(self, now_ms: int) -> bytes | None:
        """A frame when nothing changed for a minute."""
        if now_ms - self._quiet_since_ms < HEARTBEAT_MS:
            return None
        self._quiet_since_ms = now_ms
        return self._frames.heartbeat(now_ms, self.version, self._checksum())

    def _checksum(self) -> int:
        return self._frames.checksum(self.book) if self._checksums else 0
