"""All layers. A new one is a file in `layers/` and a row here; weights must then name it."""

from __future__ import annotations

from teleglas_signal_scorer.domain.layer import Layer
from teleglas_signal_scorer.domain.layers import cvd, order_flow, technical

__all__ = ["LAYERS", "NAMES"]

LAYERS: tuple[Layer, ...] = (
    technical.LAYER,
    cvd.LAYER,
    order_flow.LAYER,
)
"""In the order in which contributions are stored and summed."""

NAMES = tuple(layer.name for layer in LAYERS)
