"""The horizons of forecasts and what people call them."""

from __future__ import annotations

__all__ = ["HORIZONS", "NS_PER_S", "horizon_name"]

NS_PER_S = 1_000_000_000
_MINUTE_NS = 60 * NS_PER_S
HORIZONS = {
    "5m": 5 * _MINUTE_NS,
    "15m": 15 * _MINUTE_NS,
    "1h": 60 * _MINUTE_NS,
    "4h": 240 * _MINUTE_NS,
    "24h": 1440 * _MINUTE_NS,
}
"""Name to length in ns, the shortest first."""
_NAMES = {length_ns: name for name, length_ns in HORIZONS.items()}


def horizon_name(horizon_ns: int) -> str | None:
    """None for a length that is none of ours."""
    return _NAMES.get(horizon_ns)
