"""The instruments that the simulator can list, with the venues' own ticks, lots and multipliers."""

from dataclasses import dataclass
from enum import StrEnum

from teleglas_sim.market.measured import (
    SPOT_BTC_SIZES,
    SPOT_OTHER_SIZES,
    USDM_SIZES,
    SizeTable,
)

__all__ = ["ASSETS", "Asset", "InstrumentSpec", "Venue", "catalog"]


class Venue(StrEnum):
    """Venue ids as the rest of Teleglas writes them."""

    BINANCE = "binance"
    BINANCE_USDM = "binance-usdm"
    OKX = "okx"


@dataclass(frozen=True, slots=True)
class Asset:
    """A base asset: first price in USD, volatility against BTC's, activity and depth against
    BTC's.
    """

    name: str
    price_usd: float
    volatility: float
    activity: float
    depth: float


ASSETS = (
    Asset("BTC", 61_686.0, 1.0, 1.0, 1.0),
    Asset("ETH", 2_683.0, 1.15, 0.75, 0.35),
    Asset("SOL", 155.2, 1.5, 0.45, 0.2),
    Asset("BNB", 512.4, 1.0, 0.2, 0.15),
    Asset("XRP", 0.6123, 1.4, 0.3, 0.15),
    Asset("DOGE", 0.10542, 1.7, 0.25, 0.12),
)
_BY_NAME = {asset.name: asset for asset in ASSETS}


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """One instrument. Prices are integers of `10**-price_decimals`, sizes of `10**-lot_decimals`.

    `tick` and `lot` are the smallest steps in those integers. A unit of size is worth
    `contract` of the base asset, or of the quote when `inverse`.
    """

    venue: Venue
    symbol: str
    name: str
    asset: Asset
    quote: str
    perpetual: bool
    inverse: bool
    price_decimals: int
    lot_decimals: int
    lot: int
    contract: float
    activity: float
    sizes: SizeTable

    @property
    def key(self) -> str:
        """`venue:instrument`, as the topics' keys are written."""
        return f"{self.venue}:{self.name}"

    @property
    def first_price(self) -> int:
        """The asset's first price in this instrument's integers."""
        return round(self.asset.price_usd * 10.0**self.price_decimals)

    def notional(self, price: int, size: int) -> float:
        """Quote notional of `size` at `price`."""
        units = size * self.contract / 10.0**self.lot_decimals
        return units if self.inverse else units * price / 10.0**self.price_decimals

    def size_for(self, notional: float, price: int) -> int:
        """The size nearest to `notional`, at least one lot, in whole lots."""
        unit = self.notional(price, self.lot)
        return max(1, round(notional / unit)) * self.lot


# symbol, price decimals, size decimals, lot, contract
_SPOT = {
    "BTC": (2, 5, 1), "ETH": (2, 4, 1), "SOL": (2, 3, 1), "BNB": (2, 3, 1), "XRP": (4, 1, 1),
    "DOGE": (5, 0, 1),
}  # fmt: skip
_USDM = {
    "BTC": (1, 3, 1), "ETH": (2, 3, 1), "SOL": (2, 2, 1), "BNB": (2, 2, 1), "XRP": (4, 1, 1),
    "DOGE": (5, 0, 1),
}  # fmt: skip
_OKX_SPOT = {
    "BTC": (1, 8, 1), "ETH": (2, 6, 1), "SOL": (2, 6, 1), "BNB": (1, 6, 1), "XRP": (4, 6, 1),
    "DOGE": (5, 6, 1),
}  # fmt: skip
_OKX_SWAP = {
    "BTC": (1, 2, 1, 0.01), "ETH": (2, 2, 1, 0.1), "SOL": (2, 2, 1, 1.0), "BNB": (1, 0, 1, 0.01),
    "XRP": (4, 2, 1, 100.0), "DOGE": (5, 2, 1, 1000.0),
}  # fmt: skip
_OKX_INVERSE = {"BTC": (1, 0, 1, 100.0), "ETH": (2, 0, 1, 10.0)}

_ORDER = (
    ("binance", "BTC"), ("binance-usdm", "BTC"), ("okx", "BTC"), ("okx-swap", "BTC"),
    ("okx-inverse", "BTC"), ("binance", "ETH"), ("binance-usdm", "ETH"), ("okx", "ETH"),
    ("binance", "SOL"), ("binance", "BNB"), ("binance", "XRP"), ("binance", "DOGE"),
    ("okx-swap", "ETH"), ("binance-usdm", "SOL"), ("okx", "SOL"), ("okx-swap", "SOL"),
    ("binance-usdm", "XRP"), ("binance-usdm", "DOGE"), ("binance-usdm", "BNB"), ("okx", "XRP"),
    ("okx", "DOGE"), ("okx-swap", "XRP"), ("okx-swap", "DOGE"), ("okx-inverse", "ETH"),
    ("okx", "BNB"), ("okx-swap", "BNB"),
)  # fmt: skip


def catalog(count: int) -> tuple[InstrumentSpec, ...]:
    """The first `count` instruments: a dozen covers every venue, kind and asset."""
    if not 1 <= count <= len(_ORDER):
        raise ValueError(f"expected 1 to {len(_ORDER)} instruments, got {count}")
    return tuple(_MAKERS[kind](_BY_NAME[name]) for kind, name in _ORDER[:count])


def _binance(asset: Asset) -> InstrumentSpec:
    prices, lots, lot = _SPOT[asset.name]
    symbol, name = f"{asset.name}USDT", f"{asset.name}-USDT"
    sizes = SPOT_BTC_SIZES if asset.name == "BTC" else SPOT_OTHER_SIZES
    return InstrumentSpec(
        Venue.BINANCE, symbol, name, asset, "USDT", False, False, prices, lots, lot, 1.0,
        asset.activity, sizes,
    )  # fmt: skip


def _binance_usdm(asset: Asset) -> InstrumentSpec:
    prices, lots, lot = _USDM[asset.name]
    symbol, name = f"{asset.name}USDT", f"{asset.name}-USDT-PERP"
    return InstrumentSpec(
        Venue.BINANCE_USDM, symbol, name, asset, "USDT", True, False, prices, lots, lot, 1.0,
        asset.activity * 1.2, USDM_SIZES,
    )  # fmt: skip


def _okx(asset: Asset) -> InstrumentSpec:
    prices, lots, lot = _OKX_SPOT[asset.name]
    symbol = f"{asset.name}-USDT"
    sizes = SPOT_BTC_SIZES if asset.name == "BTC" else SPOT_OTHER_SIZES
    return InstrumentSpec(
        Venue.OKX, symbol, symbol, asset, "USDT", False, False, prices, lots, lot, 1.0,
        asset.activity * 0.4, sizes,
    )  # fmt: skip


def _okx_swap(asset: Asset) -> InstrumentSpec:
    prices, lots, lot, contract = _OKX_SWAP[asset.name]
    symbol, name = f"{asset.name}-USDT-SWAP", f"{asset.name}-USDT-PERP"
    return InstrumentSpec(
        Venue.OKX, symbol, name, asset, "USDT", True, False, prices, lots, lot, contract,
        asset.activity * 0.6, USDM_SIZES,
    )  # fmt: skip


def _okx_inverse(asset: Asset) -> InstrumentSpec:
    prices, lots, lot, contract = _OKX_INVERSE[asset.name]
    symbol, name = f"{asset.name}-USD-SWAP", f"{asset.name}-USD-PERP"
    return InstrumentSpec(
        Venue.OKX, symbol, name, asset, "USD", True, True, prices, lots, lot, contract,
        asset.activity * 0.2, USDM_SIZES,
    )  # fmt: skip


_MAKERS = {
    "binance": _binance,
    "binance-usdm": _binance_usdm,
    "okx": _okx,
    "okx-swap": _okx_swap,
    "okx-inverse": _okx_inverse,
}
