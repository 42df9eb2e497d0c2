"""Alerts, scores, forecasts and deliveries as people read them, from the gateway's answers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = [
    "amount",
    "forecast_line",
    "ledger_line",
    "signal_line",
    "whale_line",
    "why_delivery",
    "why_signal",
    "why_whale",
]

Json = dict[str, Any]
KINDS = {
    "sweep": "one order through several levels",
    "block": "one large print at one price",
    "sliced": "an order worked in pieces",
    "liquidation_cascade": "forced orders, one after the other",
}
OUTCOMES = {
    "queued": "waits to be sent",
    "sent": "was sent",
    "edited": "was sent and later edited",
    "held": "is held back",
    "failed": "could not be delivered",
    "suppressed": "was not sent",
}


def amount(text: object, places: int | None = None) -> str:
    """`2,250,000` of `2250000.00`: without zeros that say nothing, at most `places` decimals."""
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        return "?"
    if not value.is_finite():
        return "?"
    if places is not None and value.as_tuple().exponent < -places:  # type: ignore[operator]
        value = round(value, places)
    shown = f"{value:,f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _signed(text: object, places: int = 1) -> str:
    shown = amount(text, places)
    return shown if shown.startswith(("-", "?")) else f"+{shown}"


def _percent(share: object, places: int = 2) -> str:
    try:
        return f"{amount(Decimal(str(share)) * 100, places)} %"
    except InvalidOperation:
        return "? %"


def _when(row: Json) -> str:
    return str(row["timestamp"]).replace("T", " ").rstrip("Z")


def _assets(symbol: str) -> tuple[str, str]:
    base, _, rest = symbol.partition("-")
    return base, rest.partition("-")[0]


def _times(row: Json) -> str:
    try:
        return amount(Decimal(row["notional"]) / Decimal(row["threshold"]), 1)
    except (InvalidOperation, ZeroDivisionError):
        return "?"


def whale_line(row: Json) -> str:
    """One alert: who did what, how large, and its id."""
    base, quote = _assets(row["symbol"])
    state = "closed" if row["is_closed"] else "open"
    return (
        f"{_when(row)}  {row['venue']}:{row['symbol']:<18} {row['side']:<4} "
        f"{amount(row['notional'], 0):>14} {quote:<5} {amount(row['amount'])} {base} @ "
        f"{amount(row['vwap'])}  {row['kind']}, {_times(row)} times the threshold, "
        f"impact {row['impact']}, {state}  {row['id']}"
    )


def signal_line(row: Json) -> str:
    """One score: the number, what it says, and what it is made of."""
    parts = ", ".join(f"{part['layer']} {_signed(part['points'])}" for part in row["contributions"])
    missing = f"  without {', '.join(row['missing'])}" if row["missing"] else ""
    return (
        f"{_when(row)}  {row['symbol']:<14} {_signed(row['score']):>7} {row['stance']:<11} "
        f"confidence {_percent(row['confidence'], 0)}  {parts or 'no layer'}{missing}  {row['id']}"
    )


def forecast_line(row: Json) -> str:
    """One forecast: the interval always, the direction where there is skill."""
    at = _widest(row)
    within = "no interval"
    if at is not None:
        widest = row["intervals"][at]
        within = (
            f"{_percent(widest['coverage'], 0)} within {amount(widest['lower'], 2)} .. "
            f"{amount(widest['upper'], 2)}"
        )
    says = row["direction"]
    if says == "abstain":
        says = f"no direction ({row['abstain_reason'] or 'no reason given'})"
    return (
        f"{_when(row)}  {row['symbol']:<14} {row['horizon'] or '?':<4} "
        f"{amount(row['reference_price'], 2)} -> {amount(row['median'], 2)}, {within}, {says}  "
        f"{row['model']}@{row['model_version']}"
    )


def ledger_line(entry: Json) -> str:
    """A forecast and whether its widest interval held."""
    line = forecast_line(entry["forecast"])
    if entry["outcome_price"] is None:
        return f"{line}  still open"
    at = _widest(entry["forecast"])
    held = at is not None and at < len(entry["covered"]) and entry["covered"][at]
    return f"{line}  became {amount(entry['outcome_price'], 2)}, {'within' if held else 'outside'}"


def _widest(forecast: Json) -> int | None:
    """Which interval is the most likely to hold."""
    sizes = [float(one["coverage"] or 0) for one in forecast["intervals"]]
    return sizes.index(max(sizes)) if sizes else None


def why_whale(row: Json) -> Iterator[str]:
    """Why there was an alert, with its numbers."""
    base, quote = _assets(row["symbol"])
    did = {"buy": "bought", "sell": "sold"}.get(row["side"], "traded")
    yield (
        f"Somebody {did} {amount(row['amount'])} {base} on {row['venue']} for "
        f"{amount(row['notional'], 2)} {quote}, at {amount(row['vwap'])} on average: "
        f"{row['kind']}, {KINDS.get(row['kind'], 'of no kind that is known here')}."
    )
    yield (
        f"It took {row['fills']} fills from {row['first_fill_time']} to {row['last_fill_time']}, "
        f"through {row['levels_consumed']} levels of the book{_share(row)}."
    )
    yield (
        f"That is {_times(row)} times the {amount(row['threshold'], 2)} {quote} that "
        f"{row['symbol']} on {row['venue']} had to reach then, and more than "
        f"{_percent(row['percentile'])} of the parent orders seen there before."
    )
    moves = [
        f"{_signed(impact['basis_points'])} bp after {amount(impact['horizon_ms'] / 1000)} s"
        for impact in row["impacts"]
    ]
    if moves:
        yield f"In its direction the price moved {', '.join(moves)}."
    if row["lower_bound"]:
        yield "The venue shows only a part of its liquidations: the true sum is larger."
    state = "it is closed" if row["is_closed"] else "it may still grow"
    yield (
        f"Revision {row['revision']}, {state}; definition version {row['definition_version']}; "
        f"trades {row['first_trade_id']} to {row['last_trade_id']}."
    )


def _share(row: Json) -> str:
    share = row["depth_share"]
    return "" if share is None else f", {_percent(share, 0)} of what was to be seen on that side"


def why_signal(told: Json) -> Iterator[str]:
    """Why a score is what it is, with what each layer added."""
    score = told["signal"]
    yield (
        f"{score['symbol']} scored {_signed(score['score'])} of 100 at {score['timestamp']}: "
        f"{score['stance']}, with {_percent(score['confidence'], 0)} confidence."
    )
    parts = score["contributions"]
    yield from told["sentences"] or (
        f"{part['layer']} added {_signed(part['points'], 4)} points: it read "
        f"{_signed(part['reading'], 4)}, weight {amount(part['weight'])}"
        f"{', ' + part['reason'] if part['reason'] else ''}."
        for part in parts
    )
    if len(parts) > 1:
        sum_of = " ".join(_signed(part["points"], 4) for part in parts)
        yield f"Together: {sum_of} = {_signed(score['score'], 4)}."
    if score["missing"]:
        yield (
            f"Missing: {', '.join(score['missing'])}; that cost "
            f"{_percent(score['confidence_cost'], 0)} of confidence."
        )
    for one in told["inputs"]:
        yield f"  {one['layer']} read {one['name']} = {amount(one['value'], 6)}"
    yield f"Weights version {score['weights_version']}."
    for at in told["positions"]:
        yield f"  {at['topic']}[{at['partition']}] had been read up to {at['offset']}"


def why_delivery(row: Json, rule: Json | None) -> Iterator[str]:
    """What became of an event for one subscriber, and by which rule."""
    when = f" at {row['delivered_time']}" if row["delivered_time"] else ""
    reason = f": {row['reason']}" if row["reason"] else ""
    yield (
        f"The message to {row['subscriber_id']} by {row['channel']} "
        f"{OUTCOMES.get(row['status'], row['status'])}{when}, after {row['attempts']} "
        f"attempt{'' if row['attempts'] == 1 else 's'}{reason}."
    )
    if rule is None:
        yield f"It came of rule {row['rule_id']}, which is no more."
    else:
        yield f"It came of rule {row['rule_id']}: {_conditions(rule)}."
    yield f"It is about {row['event_id']}:"


def _conditions(rule: Json) -> str:
    said = [f"{', '.join(rule['kinds'])} events" if rule["kinds"] else "every event"]
    if rule["instruments"]:
        said.append(f"of {', '.join(rule['instruments'])}")
    if rule["venues"]:
        said.append(f"on {', '.join(rule['venues'])}")
    if rule["min_notional"] is not None:
        said.append(f"from {amount(rule['min_notional'])} on")
    if rule["min_percentile"] is not None:
        said.append(f"above {_percent(rule['min_percentile'])} of all")
    if rule["min_abs_score"] is not None:
        said.append(f"with a score beyond {amount(rule['min_abs_score'])}")
    return " ".join(said)
