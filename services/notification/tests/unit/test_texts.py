"""Messages: short, exact, escaped."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from notification_samples import SECOND, T0, card, forecast, score, whale

from teleglas_notification.adapters.messages import forecast_of, score_of
from teleglas_notification.domain.cards import (
    Card,
    dump_card,
    load_card,
    with_forecasts,
    with_score,
)
from teleglas_notification.domain.texts import (
    MAX_CAPTION,
    MAX_TEXT,
    card_text,
    plain,
    receipt_text,
    summary_text,
)


def full() -> Card:
    base = with_score(card(), score_of(score(T0 - 12 * SECOND)))
    return with_forecasts(base, (forecast_of(forecast(T0 - 20 * SECOND)),))


def test_text_of_a_whale_says_what_happened_in_the_zone_of_the_subscriber() -> None:
    """Side, amounts, venue, impact, percentile, score and forecast with their age."""
    assert plain(card_text(full(), "Europe/Berlin")) == (
        "🐋 BTC-USDT · binance · sweep BUY\n"
        "50 BTC for 2,250,000 USDT at 45,000\n"
        "31 fills, 12 levels, impact +3.2 bp at once, still going on\n"
        "larger than 99.91 % of its orders (threshold 1,500,000)\n"
        "score +34.5 (buy, confidence 0.80), 12 s old\n"
        "5 min forecast 44,700.00 to 45,310.00 (90 %),"
        " no direction: no skill over the random walk, 20 s old\n"
        "01:00:00 CET, 01 Jan 2025"
    )


def test_text_of_a_score_that_saw_the_event_says_it_came_after() -> None:
    """A better score is younger than the event."""
    text = card_text(with_score(card(), score_of(score(T0 + 3 * SECOND))), "UTC")
    assert "3 s after it" in text


def test_receipt_names_contributions_and_own_numbers() -> None:
    """Why: contributions, what was missing, versions, the alert's own threshold."""
    text = plain(receipt_text(full(), "UTC"))
    assert "+34.5 technical" in text
    assert "missing: news" in text
    assert "weights version 3" in text
    assert "had to reach 1,500,000" in text


def test_summary_of_many_events_is_one_message_with_the_largest_first() -> None:
    """Twelve are shown, the others counted."""
    cards = [card(n, whale=whale(notional=n * whale().notional)) for n in range(1, 31)]
    text = summary_text(cards, 30, "More than the hour's budget", "UTC")
    lines = plain(text).splitlines()
    assert lines[0] == "More than the hour's budget: 30 events"
    assert "67,500,000" in lines[1]
    assert lines[-1] == "and 18 more"


@given(
    st.text(max_size=300),
    st.text(max_size=300),
    st.text(max_size=300),
    st.sampled_from(["UTC", "x"]),
)
def test_text_of_hostile_names_stays_bounded_and_escaped(
    instrument: str, venue: str, reason: str, zone: str
) -> None:
    """Foreign text never becomes markup, and no message is longer than the Bot API takes."""
    hostile = replace(full(), instrument=instrument, venue=venue, event_id=reason)
    hostile = replace(
        hostile, forecasts=tuple(replace(f, abstain_reason=reason) for f in hostile.forecasts)
    )
    for text, limit in (
        (card_text(hostile, zone), MAX_CAPTION),
        (receipt_text(hostile, zone), MAX_TEXT),
        (summary_text([hostile] * 40, 40, instrument, zone), MAX_TEXT),
    ):
        assert 0 < len(text.encode("utf-16-le")) // 2 <= limit
        bare = text.replace("<b>", "").replace("</b>", "")
        assert "<" not in bare
        assert ">" not in bare
        assert text.count("<b>") == text.count("</b>")


def test_card_survives_its_storage() -> None:
    """What is stored is what comes back, exact numbers too."""
    assert load_card(dump_card(full())) == full()
