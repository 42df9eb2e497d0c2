"""Rules: which events a subscriber wants to be told of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from teleglas_notification.domain.cards import Card

__all__ = ["Rule", "RuleBook", "matches"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must hold together; an empty list or None asks nothing."""

    tenant_id: str
    id: str
    subscriber_id: str
    name: str = ""
    kinds: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()
    min_notional: float | None = None
    min_percentile: float | None = None
    min_abs_score: float | None = None
    enabled: bool = True
    created_ns: int = 0


def matches(rule: Rule, card: Card) -> bool:
    """Whether all conditions of a rule hold. Notional and percentile are asked of orders only; a
    score is asked of every event, and an event without one does not have it.
    """
    if not rule.enabled or card.kind not in (rule.kinds or (card.kind,)):
        return False
    if rule.venues and card.venue not in rule.venues:
        return False
    if rule.instruments and not _names(rule.instruments, card.instrument):
        return False
    return _is_large(rule, card) and _is_scored(rule, card)


def _names(wanted: tuple[str, ...], instrument: str) -> bool:
    return instrument in wanted or instrument.partition("-")[0] in wanted


def _is_large(rule: Rule, card: Card) -> bool:
    whale = card.whale
    if whale is None:
        return True
    if rule.min_notional is not None and whale.notional < Decimal(rule.min_notional):
        return False
    return rule.min_percentile is None or whale.percentile >= rule.min_percentile


def _is_scored(rule: Rule, card: Card) -> bool:
    if rule.min_abs_score is None:
        return True
    return card.score is not None and abs(card.score.score) >= rule.min_abs_score


class RuleBook:
    """All enabled rules, found by kind."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_kind: dict[str, list[Rule]] = {}
        ordered = sorted(rules, key=lambda rule: (rule.tenant_id, rule.subscriber_id, rule.id))
        for rule in ordered:
            for kind in rule.kinds or ("",):
                self._by_kind.setdefault(kind, []).append(rule)

    def find(self, card: Card, appended_ns: int) -> list[Rule]:
        """The first matching rule of each subscriber; a rule hears of nothing that was in the log
        before it was made.
        """
        found: dict[tuple[str, str], Rule] = {}
        for rule in [*self._by_kind.get(card.kind, ()), *self._by_kind.get("", ())]:
            who = (rule.tenant_id, rule.subscriber_id)
            if who not in found and rule.created_ns <= appended_ns and matches(rule, card):
                found[who] = rule
        return list(found.values())
