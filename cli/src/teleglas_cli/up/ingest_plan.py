"""Which markets ingest follows: all that a local venue lists, or its defaults when live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from teleglas_cli.up.options import Options, Source
from teleglas_cli.up.venues import VenueUrls

__all__ = ["LIVE_MARKET", "ingest_environment", "listed_markets"]

TIMEOUT_S = 10.0
LIVE_MARKET = ("binance", "BTC-USDT")
PATIENCE_WITH_CAPTURES = "1000"
"""A recording lacks streams, plays at a pace of its own, and ends: no silence says anything."""

LISTINGS = {
    "binance": ("/api/v3/exchangeInfo",),
    "binance-usdm": ("/fapi/v1/exchangeInfo",),
    "okx": (
        "/api/v5/public/instruments?instType=SPOT",
        "/api/v5/public/instruments?instType=SWAP",
        "/api/v5/public/instruments?instType=FUTURES",
    ),
}


async def listed_markets(urls: VenueUrls) -> dict[str, list[str]]:
    """Canonical symbols by venue, as the local venues' own REST lists them."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    found: dict[str, list[str]] = {}
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for venue, addresses in urls.items():
            names: list[str] = []
            for path in LISTINGS[venue]:
                async with session.get(addresses["rest"] + path) as response:
                    names += _symbols(venue, await response.json())
            found[venue] = sorted(set(names))
    return found


def _symbols(venue: str, listing: Mapping[str, Any]) -> list[str]:
    if venue == "okx":
        return [_okx_symbol(entry["instId"]) for entry in listing.get("data", ())]
    pairs = [
        (f"{entry['baseAsset']}-{entry['quoteAsset']}", entry.get("contractType", ""))
        for entry in listing.get("symbols", ())
    ]
    if venue == "binance":
        return [name for name, _ in pairs]
    return [f"{name}-PERP" for name, contract in pairs if contract == "PERPETUAL"]


def _okx_symbol(name: str) -> str:
    """BTC-USDT-PERP of BTC-USDT-SWAP, BTC-USD-20220527 of BTC-USD-220527, else the name itself."""
    pair, dash, last = name.rpartition("-")
    if last == "SWAP":
        return f"{pair}-PERP"
    return f"{pair}{dash}20{last}" if last.isdigit() and len(last) == 6 else name


async def ingest_environment(
    options: Options, urls: VenueUrls
) -> tuple[dict[str, str], tuple[str, str]]:
    """Settings of ingest, and one market of theirs that a first look can be at."""
    if options.source is Source.LIVE:
        return {}, LIVE_MARKET
    markets = await listed_markets(urls)
    env: dict[str, str] = {}
    if options.source is Source.CAPTURE:
        env["TELEGLAS_INGEST__SILENCE_PATIENCE"] = PATIENCE_WITH_CAPTURES
    for venue in LISTINGS:
        prefix = f"TELEGLAS_{venue.replace('-', '_').upper()}"
        env[f"{prefix}__SYMBOLS"] = ",".join(markets.get(venue, ()))
        if venue in urls:
            env[f"{prefix}__WS_URL"] = urls[venue]["ws"]
            env[f"{prefix}__REST_URL"] = urls[venue]["rest"]
    sample = next((venue, names[0]) for venue, names in markets.items() if names)
    if "BTC-USDT" in markets.get("binance", ()):
        sample = LIVE_MARKET
    return env, sample
