"""The venues that ingest speaks, one folder each with the same files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from teleglas_ingest.ports import Rest, Venue
from teleglas_ingest.venues.binance.client import BinanceSpot
from teleglas_ingest.venues.binance_usdm.client import BinanceUsdm
from teleglas_ingest.venues.okx.client import Okx

__all__ = ["VENUES"]

VENUES: Mapping[str, Callable[[Rest, str], Venue]] = {
    "binance": BinanceSpot,
    "binance-usdm": BinanceUsdm,
    "okx": Okx,
}
