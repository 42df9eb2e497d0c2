"""Reference data for a capture that brought none, as its own frames tell it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from math import gcd
from typing import Any

import msgspec

from teleglas_sim.replay.streams import BINANCE_USDM, OKX, Channel
from teleglas_sim.replay.timeline import Timeline

__all__ = ["binance_symbol", "canonical", "grid", "okx_instrument"]

_QUOTES = (
    "FDUSD",
    "USDT",
    "USDC",
    "BUSD",
    "TUSD",
    "USD",
    "BTC",
    "ETH",
    "BNB",
    "EUR",
    "TRY",
    "JPY",
    "BRL",
)
_ENOUGH_VALUES = 200
_SAMPLE_FRAMES = 2_000
_PERPETUAL_DELIVERY_MS = 4_133_404_800_000


def grid(values: Iterable[str]) -> str:
    """The step of a price or size scale that recorded decimal strings lie on, with their decimals.

    It is one, five or twenty-five units of the last decimal in use: the largest that divides them
    all. Few values could share a divisor by chance: for them it is one unit.
    """
    texts = {value for value in values if value.strip("0.")}
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    divisor = gcd(*(int(Decimal(text).scaleb(decimals)) for text in texts)) or 1
    power = 1
    while divisor % (10 * power) == 0:
        power *= 10
    fractions = (25, 5) if len(texts) >= _ENOUGH_VALUES else ()
    step = power * next((f for f in fractions if divisor % (f * power) == 0), 1)
    return f"{Decimal(step).scaleb(-decimals):f}"


def binance_symbol(timeline: Timeline, venue: str, symbol: str) -> dict[str, Any]:
    """One element of `exchangeInfo.symbols`, tick and lot as in the recorded trades and books."""
    prices, sizes = _binance_values(timeline, venue, symbol)
    tick, lot = grid(prices), grid(sizes)
    pair, _, delivery = symbol.partition("_")
    base, quote = _split(pair)
    entry: dict[str, Any] = {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": tick,
                "maxPrice": "100000000",
                "tickSize": tick,
            },
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "100000000", "stepSize": lot},
        ],
    }
    if venue == BINANCE_USDM:
        entry |= {
            "pair": pair,
            "contractType": "CURRENT_QUARTER" if delivery else "PERPETUAL",
            "deliveryDate": _delivery_ms(delivery),
            "onboardDate": 0,
            "marginAsset": quote,
            "pricePrecision": _decimals(tick),
            "quantityPrecision": _decimals(lot),
        }
    return entry


def okx_instrument(timeline: Timeline, symbol: str) -> dict[str, str] | None:
    """One element of `public/instruments`; None for a contract of unknown size."""
    parts = symbol.split("-")
    kind = "SPOT" if len(parts) == 2 else "SWAP" if parts[-1] == "SWAP" else "FUTURES"
    prices, sizes = _okx_values(timeline, symbol)
    entry = {
        "instType": kind,
        "instId": symbol,
        "uly": "" if kind == "SPOT" else "-".join(parts[:2]),
        "instFamily": "" if kind == "SPOT" else "-".join(parts[:2]),
        "baseCcy": parts[0] if kind == "SPOT" else "",
        "quoteCcy": parts[1] if kind == "SPOT" else "",
        "settleCcy": "",
        "ctVal": "",
        "ctMult": "",
        "ctValCcy": "",
        "ctType": "",
        "tickSz": grid(prices),
        "lotSz": grid(sizes),
        "minSz": grid(sizes),
        "listTime": "",
        "expTime": "",
        "state": "live",
    }
    if kind == "SPOT":
        return entry
    if kind == "FUTURES":
        entry["expTime"] = str(_delivery_ms(parts[-1]))
    return _with_contract(entry, timeline, symbol)


def canonical(venue: str, symbol: str) -> str:
    """Teleglas's own name of an instrument: `BTC-USDT`, `BTC-USDT-PERP`, `BTC-USDT-20261225`."""
    if venue == OKX:
        base, quote, *rest = symbol.split("-")
        contract = "-".join(rest)
    else:
        pair, _, contract = symbol.partition("_")
        base, quote = _split(pair)
        contract = contract or ("SWAP" if venue == BINANCE_USDM else "")
    if not contract:
        return f"{base}-{quote}"
    return f"{base}-{quote}-{'PERP' if contract == 'SWAP' else f'20{contract}'}"


def _with_contract(entry: dict[str, str], timeline: Timeline, symbol: str) -> dict[str, str] | None:
    """The contract's size follows from a ticker: its volume in contracts and in base."""
    base, quote = symbol.split("-")[:2]
    for frame in _frames(timeline, OKX, symbol, "tickers:"):
        ticker = msgspec.json.decode(frame)["data"][0]
        contracts, in_base = Decimal(ticker["vol24h"]), Decimal(ticker["volCcy24h"])
        if not contracts:
            continue
        is_inverse = quote == "USD"
        size = in_base / contracts * (Decimal(ticker["last"]) if is_inverse else 1)
        entry["ctVal"] = f"{Decimal(1).scaleb(round(float(size.log10()))):f}"
        entry["ctMult"] = "1"
        entry["ctValCcy"] = quote if is_inverse else base
        entry["ctType"] = "inverse" if is_inverse else "linear"
        entry["settleCcy"] = base if is_inverse else quote
        return entry
    return None


def _binance_values(timeline: Timeline, venue: str, symbol: str) -> tuple[list[str], list[str]]:
    prices: list[str] = []
    sizes: list[str] = []
    for answer in timeline.answers:
        if answer.path.endswith("/depth") and (answer.venue, answer.symbol) == (venue, symbol):
            body = msgspec.json.decode(timeline.body(answer))
            _add_levels([*body["bids"], *body["asks"]], prices, sizes)
            break
    for channel in (Channel.TRADES, Channel.AGG_TRADES, Channel.DEPTH):
        for frame in _sample(timeline, timeline.find(venue, symbol, channel)):
            data = msgspec.json.decode(frame)["data"]
            if channel is Channel.DEPTH:
                _add_levels([*data["b"], *data["a"]], prices, sizes)
            else:
                _add_levels([[data["p"], data["q"]]], prices, sizes)
    return prices, sizes


def _okx_values(timeline: Timeline, symbol: str) -> tuple[list[str], list[str]]:
    prices: list[str] = []
    sizes: list[str] = []
    for frame in _sample(timeline, timeline.find(OKX, symbol, Channel.DEPTH)):
        for change in msgspec.json.decode(frame)["data"]:
            _add_levels([*change["bids"], *change["asks"]], prices, sizes)
    for frame in _sample(timeline, timeline.find(OKX, symbol, Channel.TRADES)):
        for trade in msgspec.json.decode(frame)["data"]:
            _add_levels([[trade["px"], trade["sz"]]], prices, sizes)
    return prices, sizes


def _sample(timeline: Timeline, stream_id: int | None) -> Iterable[bytes]:
    if stream_id is None:
        return []
    return map(timeline.frame, islice(timeline.positions[stream_id], _SAMPLE_FRAMES))


def _frames(timeline: Timeline, venue: str, symbol: str, prefix: str) -> Iterable[bytes]:
    for stream_id, stream in enumerate(timeline.streams):
        if (stream.venue, stream.symbol) == (venue, symbol) and stream.name.startswith(prefix):
            yield from _sample(timeline, stream_id)


def _add_levels(levels: list[list[str]], prices: list[str], sizes: list[str]) -> None:
    prices.extend(level[0] for level in levels)
    sizes.extend(level[1] for level in levels)


def _filter(kind: str, **limits: str) -> dict[str, str]:
    return {"filterType": kind, **limits}


def _split(pair: str) -> tuple[str, str]:
    for quote in _QUOTES:
        if pair.endswith(quote) and pair != quote:
            return pair.removesuffix(quote), quote
    return pair[:-3], pair[-3:]


def _delivery_ms(delivery: str) -> int:
    """08:00 UTC of the day in `BTCUSDT_261225`; a perpetual's date lies in the year 2100."""
    if not delivery:
        return _PERPETUAL_DELIVERY_MS
    day = datetime.strptime(delivery, "%y%m%d").replace(hour=8, tzinfo=UTC)
    return int(day.timestamp() * 1000)


def _decimals(step: str) -> int:
    return max(0, -int(Decimal(step).normalize().as_tuple().exponent))
