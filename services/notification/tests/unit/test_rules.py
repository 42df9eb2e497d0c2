"""Which events a rule asks for."""

from __future__ import annotations

import pytest
from notification_samples import SECOND, T0, card, score, whale

from teleglas_notification.adapters.messages import score_of
from teleglas_notification.domain.cards import with_score
from teleglas_notification.domain.rules import Rule, RuleBook, matches


def rule(**changes: object) -> Rule:
    return Rule("default", "r1", "s1", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "matching"),
    [
        ({}, True),
        ({"kinds": ("whale",)}, True),
        ({"kinds": ("signal",)}, False),
        ({"instruments": ("BTC",)}, True),
        ({"instruments": ("ETH", "BTC-USDT")}, True),
        ({"instruments": ("BTC-USD",)}, False),
        ({"venues": ("okx",)}, False),
        ({"min_notional": 2_250_000.0}, True),
        ({"min_notional": 2_250_000.01}, False),
        ({"min_percentile": 0.9992}, False),
        ({"min_abs_score": 30.0}, True),
        ({"min_abs_score": 40.0}, False),
        ({"kinds": ("whale",), "venues": ("binance",), "min_abs_score": 30.0}, True),
        ({"enabled": False}, False),
    ],
)
def test_rule_all_conditions_must_hold(asked: dict[str, object], matching: bool) -> None:
    """Each condition alone, and together."""
    scored = with_score(card(), score_of(score(value=-34.5)))
    assert matches(rule(**asked), scored) is matching


def test_rule_with_a_score_asks_for_one_that_is_known() -> None:
    """Without a score the condition does not hold, it is not left out."""
    assert not matches(rule(min_abs_score=0.0), card())


def test_rule_book_names_each_subscriber_once() -> None:
    """Two matching rules of one subscriber are one message, by the first of them."""
    rules = [Rule("default", name, "s1") for name in ("b", "a")]
    found = RuleBook([*rules, Rule("default", "c", "s2")]).find(card(), T0)
    assert [one.id for one in found] == ["a", "c"]


def test_rule_hears_of_nothing_older_than_itself() -> None:
    """What stood in the log before the rule was made is no news."""
    book = RuleBook([rule(created_ns=T0)])
    assert book.find(card(), T0 - 1) == []
    assert book.find(card(), T0) != []


def test_card_keeps_a_score_that_has_seen_all_of_it() -> None:
    """Scores before the event give way to the first one after it, which stays."""
    known = with_score(card(whale=whale(ts_known=T0 + SECOND)), score_of(score(T0)))
    between = score_of(score(T0 + SECOND // 2, 1.0))
    after, later = score_of(score(T0 + SECOND, 2.0)), score_of(score(T0 + 2 * SECOND, 3.0))
    assert with_score(known, between) == known
    better = with_score(known, after)
    assert better.score == after
    assert with_score(better, later) == better
