"""Keeps the bot's token out of everything that people and machines read."""

from __future__ import annotations

import re

__all__ = ["masked"]

TOKEN = re.compile(r"\b(bot)?\d{1,20}:[A-Za-z0-9_-]{8,}")


def masked(text: str, token: str = "") -> str:
    """The text without the token, or anything that looks like one: the Bot API has it in URLs."""
    if token:
        text = text.replace(token, "***")
    return TOKEN.sub("***", text)
