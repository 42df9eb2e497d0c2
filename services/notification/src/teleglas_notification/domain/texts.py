"""What a message says, in the HTML that the Bot API takes and as plain text."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from teleglas_notification.domain.cards import Card, Forecast, Score, Whale
from teleglas_notification.domain.people import zone_of

__all__ = [
    "MAX_CAPTION",
    "MAX_TEXT",
    "amount",
    "bounded",
    "card_text",
    "plain",
    "receipt_text",
    "span",
    "summary_text",
]

SECOND_NS = 1_000_000_000
MAX_TEXT = 4_096
MAX_CAPTION = 1_024
MAX_NAME = 64
MAX_REASON = 120
MAX_LINES = 12
TAG = re.compile(r"<[^>]*>")
SIGNS = {"whale": "🐋", "liquidation": "💥", "signal": "📈", "forecast": "🔭"}
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def card_text(card: Card, time_zone: str) -> str:
    """One event with its score and forecasts, at most MAX_CAPTION characters when shown."""
    head = f"{SIGNS.get(card.kind, '•')} <b>{_safe(card.instrument)}</b>"
    whale = card.whale
    if whale is not None:
        lines = _whale_lines(card, whale, head)
        if card.score is not None:
            lines.append(_score_line(card.score, card.ts_known))
        lines += [_forecast_line(one, card.ts_known) for one in _shown(card.forecasts)]
    elif card.kind == "signal" and card.score is not None:
        lines = [f"{head} · {_stance(card.score)}", *_layer_lines(card.score, 3)]
        lines += [_forecast_line(one, card.ts_known) for one in _shown(card.forecasts)]
    else:
        lines = [f"{head} · forecast"]
        lines += [_forecast_line(one, card.ts_known) for one in _shown(card.forecasts)]
        if card.score is not None:
            lines.append(_score_line(card.score, card.ts_known))
    lines.append(_clock(card.ts_event, time_zone))
    return bounded(lines, MAX_CAPTION)


def summary_text(cards: Sequence[Card], total: int, title: str, time_zone: str) -> str:
    """Many events in one message: how many, then the largest ones."""
    ranked = sorted(cards, key=lambda card: (-_weight(card), card.ts_event, card.event_id))
    lines = [f"<b>{_safe(title)}</b>: {total} event{'s' if total != 1 else ''}"]
    lines += [_short(card, time_zone) for card in ranked[:MAX_LINES]]
    if total > MAX_LINES:
        lines.append(f"and {total - MAX_LINES} more")
    return bounded(lines, MAX_TEXT)


def receipt_text(card: Card, time_zone: str) -> str:
    """Why: the event's own numbers and what its score is made of."""
    lines = [f"<b>Why {_safe(card.instrument)}</b>"]
    whale = card.whale
    if whale is not None:
        lines += [
            f"notional {amount(whale.notional)}, had to reach {amount(whale.threshold)}",
            f"percentile {whale.percentile * 100:.2f} of the instrument's own trailing orders",
            f"{whale.fills} fills, {whale.levels} levels, revision {whale.revision}",
        ]
        lines += [f"impact {bp:+.2f} bp after {span(s)}" for s, bp in whale.impacts]
    score = card.score
    if score is None:
        lines.append("no score was known")
    else:
        lines.append(_score_line(score, card.ts_known))
        lines += _layer_lines(score, 8)
        if score.missing:
            lines.append("missing: " + ", ".join(_safe(name) for name in score.missing[:8]))
        lines.append(f"weights version {score.weights_version}, score {_safe(score.id)}")
    lines += [
        f"{_forecast_line(one, card.ts_known)} by {_safe(one.model)}" for one in card.forecasts
    ]
    lines.append(f"{_clock(card.ts_event, time_zone)}, event {_safe(card.event_id)}")
    return bounded(lines, MAX_TEXT)


def plain(text: str) -> str:
    """The same without markup."""
    return html.unescape(TAG.sub("", text))


def bounded(lines: Sequence[str], limit: int) -> str:
    """The lines that fit; the last one stays, as it says when it was.

    Cut by whole lines, so that no markup is torn.
    """
    kept = list(lines)
    while len(kept) > 2 and _length(kept) > limit:
        del kept[-2]
    while kept and _length(kept) > limit:
        del kept[-1]
    return "\n".join(kept)


def _length(lines: Sequence[str]) -> int:
    """As the Bot API counts: UTF-16 code units after the entities are parsed; we count the markup
    too, to be safe.
    """
    return len("\n".join(lines).encode("utf-16-le")) // 2


def amount(value: Decimal) -> str:
    """A number for people: grouped, without needless zeros."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def span(seconds: float) -> str:
    """`15 min`, `4 h`, `30 s`."""
    for size, unit in UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _whale_lines(card: Card, whale: Whale, head: str) -> list[str]:
    base, _, rest = card.instrument.partition("-")
    quote = rest.partition("-")[0]
    worth = f"<b>{amount(whale.notional)} {_safe(quote)}</b>"
    threshold = amount(whale.threshold)
    least = "at least " if whale.lower_bound else ""
    lines = [
        f"{head} · {_safe(card.venue)} · {_safe(whale.kind)} <b>{whale.side.upper()}</b>",
        f"{least}{amount(whale.size)} {_safe(base)} for {worth} at {amount(whale.vwap)}",
        f"{whale.fills} fill{'s' if whale.fills != 1 else ''}, {whale.levels} levels"
        + _impacts(whale),
        f"larger than {whale.percentile * 100:.2f} % of its orders (threshold {threshold})",
    ]
    if not whale.is_closed:
        lines[2] += ", still going on"
    return lines


def _impacts(whale: Whale) -> str:
    if not whale.impacts:
        return ""
    told = [
        f"{bp:+.1f} bp {'at once' if s == 0 else f'after {span(s)}'}" for s, bp in whale.impacts
    ]
    return ", impact " + ", ".join(told[:4])


def _score_line(score: Score, at: int) -> str:
    return f"score {_stance(score)}, {_age(score.ts_event, at)}"


def _stance(score: Score) -> str:
    stance = _safe(score.stance.replace("_", " "))
    return f"<b>{score.score:+.1f}</b> ({stance}, confidence {score.confidence:.2f})"


def _layer_lines(score: Score, most: int) -> list[str]:
    ranked = sorted(score.contributions, key=lambda one: (-abs(one.points), one.layer))
    return [
        f"{one.points:+.1f} {_safe(one.layer)}" + (f" ({_safe(one.reason)})" if one.reason else "")
        for one in ranked[:most]
    ]


def _forecast_line(one: Forecast, at: int) -> str:
    direction = one.direction
    if direction == "abstain":
        why = f": {_safe(one.abstain_reason)}" if one.abstain_reason else ""
        direction = f"no direction{why}"
    interval = f"{_price(one.lower)} to {_price(one.upper)} ({one.coverage * 100:g} %)"
    horizon = span(one.horizon_ns / SECOND_NS)
    return f"{horizon} forecast {interval}, {direction}, {_age(one.ts_event, at)}"


def _shown(forecasts: Sequence[Forecast]) -> Sequence[Forecast]:
    """The nearest and the next horizon: a message is short."""
    return forecasts[:2]


def _short(card: Card, time_zone: str) -> str:
    whale = card.whale
    clock = _clock(card.ts_event, time_zone)
    name = f"{SIGNS.get(card.kind, '•')} {_safe(card.instrument)}"
    if whale is not None:
        return f"{name} {_safe(card.venue)} {whale.side} {amount(whale.notional)}, {clock}"
    if card.kind == "signal" and card.score is not None:
        return f"{name} {_stance(card.score)}, {clock}"
    return f"{name} {card.kind}, {clock}"


def _weight(card: Card) -> Decimal:
    return card.whale.notional if card.whale is not None else Decimal(0)


def _age(then: int, at: int) -> str:
    seconds = (at - then) / SECOND_NS
    if seconds < 0:
        return f"{span(round(-seconds))} after it"
    return f"{span(round(seconds))} old"


def _price(value: float) -> str:
    digits = 2 if abs(value) >= 100 else 4 if abs(value) >= 1 else 8
    return f"{value:,.{digits}f}"


def _clock(ts: int, time_zone: str) -> str:
    here = datetime.fromtimestamp(ts // SECOND_NS, UTC).astimezone(zone_of(time_zone))
    return here.strftime("%H:%M:%S %Z, %d %b %Y")


@lru_cache(maxsize=4_096)
def _safe(text: str) -> str:
    """Foreign text within markup: escaped, printable, bounded."""
    limit = MAX_NAME if " " not in text else MAX_REASON
    shown = "".join(c if c.isprintable() else " " for c in text[:limit])
    return html.escape(shown, quote=False)
