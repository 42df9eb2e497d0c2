"""What a score means in a word, with hysteresis so that the word does not flicker."""

from __future__ import annotations

__all__ = ["NEUTRAL", "STANCES", "next_stance"]

STANCES = ("strong_sell", "sell", "neutral", "buy", "strong_buy")
NEUTRAL = "neutral"

ENTER = {"buy": 20.0, "strong_buy": 55.0}
LEAVE = {"buy": 10.0, "strong_buy": 45.0}
"""A stance is taken at the first and left below the second."""


def next_stance(before: str, score: float) -> str:
    """The stance at this score after that stance; the bearish side mirrors the bullish one."""
    if score < 0:
        return _MIRROR[_bullish(_MIRROR.get(before, NEUTRAL), -score)]
    return _bullish(before, score)


def _bullish(before: str, score: float) -> str:
    if score >= ENTER["strong_buy"] or (before == "strong_buy" and score >= LEAVE["strong_buy"]):
        return "strong_buy"
    held = before in ("buy", "strong_buy") and score >= LEAVE["buy"]
    return "buy" if held or score >= ENTER["buy"] else NEUTRAL


_MIRROR = dict(zip(STANCES, reversed(STANCES), strict=True))
