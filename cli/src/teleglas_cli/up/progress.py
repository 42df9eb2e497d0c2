"""What `teleglas up` tells while it works: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

__all__ = ["Progress"]


class Progress:
    """Says what is going on, without flooding a log."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._live = out.isatty()
        self._pending = False

    def step(self, text: str) -> None:
        """Something that is done, or happened: stays on the screen."""
        self._clear()
        self._out.write(f"{text}\n")
        self._out.flush()

    def live(self, text: str) -> None:
        """What is true now: replaces the line before it; left out where there is no terminal."""
        if not self._live:
            return
        self._clear()
        self._out.write(text[: shutil.get_terminal_size().columns - 1])
        self._out.flush()
        self._pending = True

    def _clear(self) -> None:
        if self._pending:
            self._out.write("\r\x1b[2K")
            self._pending = False
