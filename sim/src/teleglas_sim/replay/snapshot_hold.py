"""At maximum speed a REST call lasts for thousands of frames: hold the play while a book begins."""

from __future__ import annotations

import asyncio

__all__ = ["SnapshotHold"]


class SnapshotHold:
    """Between a subscription to diffs and the first snapshot asked for after it.

    The hold begins behind the first diff that the new subscriber got, because some clients ask
    only then, and ends after `longest_s` at the latest, because others never ask. With 0 there is
    no hold.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._expected: dict[int, str] = {}
        self._held: set[str] = set()
        self._answered = asyncio.Event()

    @property
    def is_active(self) -> bool:
        return bool(self._held)

    def expect(self, stream_id: int, book: str) -> None:
        """A client has subscribed to the diffs of `book`."""
        if self._longest_s:
            self._expected[stream_id] = book

    def sent(self, stream_id: int) -> None:
        """A frame of the stream went out."""
        book = self._expected.pop(stream_id, None) if self._expected else None
        if book is not None:
            self._held.add(book)

    def answered(self, book: str) -> None:
        """Somebody got the snapshot of `book`."""
        self._held.discard(book)
        for stream_id in [s for s, expected in self._expected.items() if expected == book]:
            del self._expected[stream_id]
        self._answered.set()

    async def over(self) -> None:
        """Wait until every book that is held has been asked for."""
        try:
            async with asyncio.timeout(self._longest_s):
                while self._held:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            self._held.clear()
