"""Messages on standard output: for people who try the service without any account."""

from __future__ import annotations

import asyncio
import sys
from typing import TextIO

from teleglas_notification.domain.texts import plain
from teleglas_notification.ports import Composed, TransientError

__all__ = ["ConsoleChannel"]


class ConsoleChannel:
    """One block of lines a message; an edit is written again, with a mark."""

    name = "console"
    takes_pictures = False

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    async def send(self, address: str, message: Composed, message_id: str) -> str:
        await self._write(f"[{address}] {plain(message.html)}\n")
        return message_id

    async def edit(self, address: str, ref: str, message: Composed, message_id: str) -> None:
        del ref, message_id
        await self._write(f"[{address}, edited] {plain(message.html)}\n")

    async def _write(self, text: str) -> None:
        """In a thread: a reader that is slow or gone must not hold up the others."""
        try:
            await asyncio.to_thread(self._print, text)
        except OSError as error:
            raise TransientError(f"standard output: {error}") from None

    def _print(self, text: str) -> None:
        out = self._out or sys.stdout
        out.write(text)
        out.flush()
