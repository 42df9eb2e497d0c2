"""What a socket brought, handed on some frames a turn of the event loop.

A read may bring megabytes: the library empties the kernel's buffer into one of its own that grows.
Handled in one go they would keep the loop from everything else for seconds, the renewal of leases
among it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["FRAMES_A_TURN", "Turns"]

FRAMES_A_TURN = 64


class Turns:
    """Keeps the order. While anything waits here `read(False)` holds the socket: no more waits than
    one read brings. What a handler raises ends the connection by `broke`.
    """

    def __init__(self, read: Callable[[bool], None], broke: Callable[[], None]) -> None:
        self._read = read
        self._broke = broke
        self._waiting: deque[tuple[Callable[..., None], tuple[bytes, ...]]] = deque()
        self._left = FRAMES_A_TURN
        self._is_due = False
        self._pressed = False
        self._over: asyncio.Future[None] | None = None

    def take(self, handle: Callable[..., None], *frame: bytes) -> None:
        """Call now, or in a later turn where this one has had its share."""
        if self._left > 0 and not self._waiting and not self._pressed:
            self._left -= 1
            self._wake()
            handle(*frame)
            return
        if not self._waiting:
            self._read(False)
        self._waiting.append((handle, frame))
        self._wake()

    def press(self, pressed: bool) -> None:
        """Hand nothing on, or go on."""
        self._pressed = pressed
        if pressed:
            self._read(False)
        elif self._waiting:
            self._wake()
        else:
            self._read(True)

    async def over(self) -> None:
        """Wait until nothing waits here."""
        if self._waiting:
            if self._over is None:
                self._over = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._over)

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._end()

    def _wake(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        self._left = FRAMES_A_TURN
        if self._waiting and not self._pressed:
            try:
                self._hand_on()
            except BaseException:
                self.drop()
                self._broke()
                raise

    def _hand_on(self) -> None:
        waiting = self._waiting
        while waiting and self._left > 0 and not self._pressed:
            self._left -= 1
            handle, frame = waiting.popleft()
            handle(*frame)
        if waiting:
            self._wake()
        elif not self._pressed:
            self._read(True)
            self._end()

    def _end(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        self._over = None
