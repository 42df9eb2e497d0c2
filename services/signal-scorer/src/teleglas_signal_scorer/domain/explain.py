"""A score in sentences."""

from __future__ import annotations

from collections.abc import Iterable

from teleglas_signal_scorer.domain.scoring import Contribution

__all__ = ["sentences"]

MOST_FACTS = 4


def sentences(contributions: Iterable[Contribution]) -> list[str]:
    """One for each contribution, the largest first."""
    ordered = sorted(contributions, key=lambda one: (-abs(one.points), one.layer))
    return [sentence(one) for one in ordered]


def sentence(one: Contribution) -> str:
    """What one layer adds, and why."""
    name = one.layer.replace("_", " ")
    if one.confidence == 0.0:
        return f"{name} adds nothing: {one.reason or 'it had nothing to go by'}."
    way = "for" if one.points > 0 else "against" if one.points < 0 else "neither for nor against"
    text = (
        f"{name} adds {one.points:+.2f} ({way} a rise): it reads {one.reading:+.3f}"
        f" with weight {one.weight:g} at {one.confidence:.0%} confidence"
    )
    if one.facts:
        said = ", ".join(f"{fact.name} {fact.value:.6g}" for fact in one.facts[:MOST_FACTS])
        text += f", from {said}"
    if one.reason:
        text += f"; weakened: {one.reason}"
    return f"{text}."
