"""Pushed trade events in the shape in which Binance's REST lists them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

__all__ = ["aggregate", "fill"]


def fill(event: dict[str, Any], *, is_usdm: bool) -> dict[str, Any] | None:
    """One element of `trades`, or None for what USD-M does not list: spent ids, insurance, ADL."""
    if is_usdm and event.get("X", "MARKET") != "MARKET":
        return None
    entry = {
        "id": event["t"],
        "price": event["p"],
        "qty": event["q"],
        "quoteQty": f"{Decimal(event['p']) * Decimal(event['q']):.8f}",
        "time": event["T"],
        "isBuyerMaker": event["m"],
    }
    return entry | ({"isRPITrade": False} if is_usdm else {"isBestMatch": event.get("M", True)})


def aggregate(event: dict[str, Any]) -> dict[str, Any]:
    """One element of `aggTrades`: the event without its type, time and symbol."""
    return {key: event[key] for key in ("a", "p", "q", "f", "l", "T", "m", "M") if key in event}
