"""How heavy an alert is, in the three words that the predecessor's clients know."""

from __future__ import annotations

__all__ = ["impact_of", "is_dollar"]

HIGH_TIMES, MEDIUM_TIMES = 3, 1.5
HIGH_SHARE, MEDIUM_SHARE = 0.5, 0.2
DOLLARS = frozenset(("USD", "USDT", "USDC", "FDUSD", "DAI"))


def impact_of(notional: int, threshold: int, depth_share: float | None) -> str:
    """`high` from three times the threshold or half of the visible depth on, `medium` from one and
    a half times or a fifth, else `low`. Both numbers share one scale; a threshold of 0 is none.
    """
    times = notional / threshold if threshold > 0 else 0.0
    share = depth_share or 0.0
    if times >= HIGH_TIMES or share >= HIGH_SHARE:
        return "high"
    if times >= MEDIUM_TIMES or share >= MEDIUM_SHARE:
        return "medium"
    return "low"


def is_dollar(instrument: str) -> bool:
    """Whether a market is quoted in dollars or in a coin that stands for one."""
    _, _, rest = instrument.partition("-")
    return rest.partition("-")[0] in DOLLARS
